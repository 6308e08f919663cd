"""The cache of answers: refuses what is not its own, survives a kill, keeps no failure."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lmmixup.errors import FileError
from lmmixup.llm import Answer, AnswerCache, open_cache

if TYPE_CHECKING:
    from pathlib import Path

ANSWER = Answer("Hëllo \N{GRINNING FACE}", "stop", None, 10, 2)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_gives_back_what_it_got(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "answers.sqlite"
    with AnswerCache(path) as cache:
        assert cache.get(key(1)) is None
        cache.put(key(1), "m", "http://x/v1", ANSWER)
        cache.put_all((key(n), "m", "s", Answer(None, "length")) for n in (2, 3))
    with AnswerCache(path) as cache:
        assert cache.get(key(1)) == (ANSWER, "http://x/v1")
        assert len(cache) == 3
        assert key(3) in cache
        assert key(4) not in cache


@pytest.mark.parametrize(
    "content", [b"hello, I am a text\n" * 200, b"SQLite format 3\0" + b"x" * 500]
)
def test_a_file_that_is_not_sqlite(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"answers.sqlite: expected a cache of answers, got a file"):
        AnswerCache(path)
    assert path.read_bytes() == content


def test_another_programs_database(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmarks (url TEXT)")
    db.close()
    with pytest.raises(FileError, match="got another program's SQLite file"):
        AnswerCache(path)


def test_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    AnswerCache(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(FileError, match=r"written by a newer lmmixup \(format 9"):
        AnswerCache(path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="name another --cache"):
        AnswerCache(tmp_path / "file" / "answers.sqlite")


def test_a_damaged_row_is_an_error_not_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerCache(path) as cache:
        cache.put(key(1), "m", "s", ANSWER)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE answers SET answer = '{\"text\": '")
    db.close()
    with AnswerCache(path) as cache, pytest.raises(FileError, match="damaged"):
        cache.get(key(1))


def test_a_file_that_is_damaged_while_it_is_open_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with AnswerCache(path) as cache:
        with sqlite3.connect(path) as db:
            db.execute("DROP TABLE answers")
        db.close()
        for look in (lambda: key(1) in cache, lambda: len(cache), lambda: cache.get(key(1))):
            with pytest.raises(FileError, match=r"damaged .*; name another --cache"):
                look()


WRITER = """
import sys
from pathlib import Path
from lmmixup.llm import Answer, AnswerCache
cache = AnswerCache(Path(sys.argv[1]))
for number in range(10_000_000):
    cache.put(number.to_bytes(32, "big"), "m", "s", Answer(str(number), "stop"))
    print(number, flush=True)
"""


def test_what_was_put_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 500:
            process.kill()
            break
    told = [int(line) for line in process.stdout if line.endswith("\n")]
    process.wait()
    process.stdout.close()
    with AnswerCache(path) as cache:
        for number in range(max([500, *told]) + 1):
            assert cache.get(key(number)) == (Answer(str(number), "stop"), "s")


OPENER = """
import sys
from pathlib import Path
from lmmixup.llm import AnswerCache
print("ready", flush=True)
for line in sys.stdin:
    AnswerCache(Path(line.strip())).close()
    print("open", flush=True)
"""


def test_processes_that_make_the_file_at_once(tmp_path: Path) -> None:
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(4)
    ]
    try:
        pipes = [(opener.stdin, opener.stdout) for opener in openers]
        for name in ["", *(f"{number}.sqlite" for number in range(100))]:
            for stdin, _ in pipes if name else []:
                assert stdin is not None
                print(tmp_path / name, file=stdin, flush=True)
            for _, stdout in pipes:
                assert stdout is not None
                assert stdout.readline() == ("open\n" if name else "ready\n")
    finally:
        for opener in openers:
            opener.communicate()


def test_two_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    code = WRITER.replace("10_000_000", "300").replace('32, "big"', "32, sys.argv[2]")
    commands = [[sys.executable, "-c", code, str(path), order] for order in ("big", "little")]
    writers = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    assert [writer.wait() for writer in writers] == [0, 0]
    keys = {number.to_bytes(32, order) for number in range(300) for order in ("big", "little")}
    with AnswerCache(path) as cache:
        assert len(cache) == len(keys) == 599
        assert all(key in cache for key in keys)


def test_where_the_config_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for where, path in [
        ("auto", tmp_path / "xdg" / "lmmixup" / "answers.sqlite"),
        ("none", tmp_path / "work" / "answers.sqlite"),
        (str(tmp_path / "mine.db"), tmp_path / "mine.db"),
    ]:
        with open_cache(where, tmp_path / "work") as cache:
            assert cache.path == path
            assert path.exists()
