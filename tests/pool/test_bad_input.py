# ruff: noqa: E501, ISC004 messages are compared whole
"""Everything that can be wrong with a file has its sentence, and the rest is read."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup.errors import DataError, FileError, LmmixupError
from lmmixup.pool import PoolOptions, open_pool, run

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b'{"prompt": "p", "completion": "c"}\n'

BAD_LINES: dict[str, tuple[bytes, str, str]] = {
    "broken": (b'{"prompt": "p", "completion": }', "json",
               "expected a JSON value, got `}` at column 31"),
    "cut off": (b'{"prompt": "p", "comp', "json",
                'expected `"` to close the string, got the end of the text at column 22; '
                "the line ends too early"),
    "two objects": (GOOD.strip() * 2, "json",
                    'expected the end of the record, got `{"prompt": "` at column 35'),
    "list": (b'["p", "c"]', "json",
             'expected a JSON object `{…}`, got `["p", "c"]` at column 1; write one object a line'),
    "text": (b"hello", "json", "expected a JSON object `{…}`, got `hello` at column 1"),
    "single quotes": (b"{'prompt': 'p'}", "json",
                      "expected a field name in double quotes, got `'prompt': 'p` at column 2"),
    "NaN": (b'{"prompt": "p", "completion": "c", "score": NaN}', "json",
            "expected a JSON value, got `NaN}` at column 45; NaN and Infinity are not JSON; "
            "write null"),
    "raw NUL": (b'{"prompt": "p\x00", "completion": "c"}', "json",
                "expected control characters written as \\uXXXX inside a string, "
                'got `\\u{0}", "complet` at column 14'),
    "bad escape": (b'{"prompt": "\\x41", "completion": "c"}', "json",
                   'expected one of the escapes \\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX, '
                   'got `\\x41", "comp` at column 13'),
    "lone surrogate": (b'{"prompt": "\\ud83d!", "completion": "c"}', "json",
                       'expected a pair of surrogates, got `\\ud83d!", "c` at column 13; '
                       "half a surrogate pair is no character; write the file again from its source"),
    "low surrogate": (b'{"prompt": "\\udc00", "completion": "c"}', "json",
                      'expected a pair of surrogates, got `\\udc00", "co` at column 13; '
                      "half a surrogate pair is no character; write the file again from its source"),
    "invalid UTF-8": (b'{"prompt": "caf\xe9", "completion": "c"}', "utf8",
                      "expected UTF-8, got byte 0xE9 at column 16; "
                      "convert the file with iconv, or drop the line"),
    "missing field": (b'{"prompt": "p"}', "field",
                      "expected a field `completion` (schema prompt_completion), got none; "
                      "name another schema with --schema, or columns with --columns"),
    "wrong type": (b'{"prompt": ["p"], "completion": "c"}', "type",
                   "expected a string in `prompt`, got a list"),
    "null": (b'{"prompt": "p", "completion": null}', "type",
             "expected a string in `completion`, got null"),
    "number": (b'{"prompt": 1, "completion": "c"}', "type",
               "expected a string in `prompt`, got a number"),
    "too deep": (b'{"x": ' + b"[" * 600 + b"]" * 600 + b"}", "json",
                 "expected at most 512 levels of nesting, got `[[[[[[[[[[[[` at column 519"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_set_aside(tmp_path: Path, name: str) -> None:
    raw, reason, message = BAD_LINES[name]
    path = tmp_path / "pool.jsonl"
    path.write_bytes(GOOD * 1046 + raw + b"\n" + GOOD * 3)
    pool = open_pool(path)
    assert pool.num_records == 1049
    (reject,) = pool.rejects
    assert reject.message == f"{path}:1047: {message}"
    assert (reject.line, reject.row, reject.reason) == (1047, None, reason)
    assert reject.raw == raw.decode(errors="replace")
    with pytest.raises(DataError) as raised:
        open_pool(path, PoolOptions(strict=True)).read()
    assert str(raised.value) == reject.message


def test_rejects_are_kept_and_counted_by_the_stage(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_bytes(GOOD + BAD_LINES["broken"][0] + b"\n" + GOOD + BAD_LINES["null"][0])
    result = run(open_pool(path), output=tmp_path / "out")
    assert result.counts["input"] == 4
    assert result.counts["rejected"] == {"json": 1, "type": 1}
    rows = [json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines()]
    assert [(row["file"], row["line"]) for row in rows] == [(str(path), 2), (str(path), 4)]
    assert rows[0]["raw"] == BAD_LINES["broken"][0].decode()


def test_what_is_not_bad(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    lines = [
        b'\xef\xbb\xbf{"prompt": "\\u0000\\ud83d\\ude00", "completion": ""}\r',
        b"",
        b"  \t ",
        b' { "completion" : "c" , "prompt" : "p" , "prompt" : "last", "x": [ ] , "y": { } } ',
        b'{"pr\\u006fmpt": "escaped name", "completion": "c"}',
    ]
    path.write_bytes(b"\n".join(lines))
    pool = open_pool(path)
    assert pool.read(["prompt"]).column(0).to_pylist() == ["\0\U0001f600", "last", "escaped name"]
    assert len(pool.rejects) == 0


@pytest.mark.parametrize(("codec", "suffix"), [("gzip", "gz"), ("zstd", "zst")])
@pytest.mark.parametrize("num_bytes", [8, 40])
def test_a_compressed_file_without_a_whole_record_is_refused(
    tmp_path: Path, codec: str, suffix: str, num_bytes: int
) -> None:
    path = tmp_path / f"pool.jsonl.{suffix}"
    with pa.CompressedOutputStream(str(path), codec) as file:
        file.write(b"".join(b'{"prompt": "%d"}' % (at * 7919) for at in range(999)))
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(DataError) as raised:
        open_pool(path).read()
    assert str(raised.value).startswith(f"{path}: expected a whole compressed file, got {codec}: ")
    assert str(raised.value).endswith("damaged before its first record: fetch it again")


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_bytes(GOOD * 5)
    pool = open_pool(path)
    path.unlink()
    with pytest.raises(FileError, match="No such file") as raised:
        run(pool, output=tmp_path / "out")
    assert str(path) in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_rows_of_a_json_list(tmp_path: Path) -> None:
    path = tmp_path / "pool.json"
    path.write_bytes(b'[{"prompt": "p", "completion": "c"}, {"prompt": 5}, 7, {"completion": "]"}]')
    rejects = list(open_pool(path).rejects)
    assert [(reject.row, reject.line) for reject in rejects] == [(2, None), (3, None), (4, None)]
    assert rejects[1].message == (
        f"{path} row 3: expected a JSON object `{{…}}`, got `7` at column 1"
    )
    path.write_bytes(b'[{"prompt": "p", "completion": "c"}, {"prompt": "x", "compl')
    pool = open_pool(path)
    assert pool.num_records == 1
    assert [reject.row for reject in pool.rejects] == [2]
    assert "expected `]` at the end of the list, got the end of the file" in pool.rejects[0].message


def test_bad_turns(tmp_path: Path) -> None:
    good = {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}
    rows: list[tuple[Any, str]] = [
        ([], "expected at least one assistant turn, got no turns"),
        ([{"role": "user", "content": "u"}],
         "expected at least one assistant turn, got turns of user"),
        ([{"role": "assistant"}],
         "expected turn 1 with `role` and `content` (or `from` and `value`), got a turn without them"),
        (["hi"], "expected turn 1 with `role` and `content` (or `from` and `value`), got a string"),
        ([{"role": 1, "content": "x"}], "expected a string as the role of turn 1, got a number"),
        ([{"role": "assistant", "content": {}}],
         "expected a string as the content of turn 1, got an object"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
         "expected only text parts in the content of turn 1, got another part; "
         "lmmixup works on text; drop images and sounds first"),
        ("text", "expected a list of turns in `messages`, got a string"),
    ]  # fmt: skip
    path = tmp_path / "pool.jsonl"
    lines = [json.dumps(good)] + [json.dumps({"messages": turns}) for turns, _ in rows]
    path.write_text("\n".join(lines))
    pool = open_pool(path)
    assert pool.num_records == 1
    assert [reject.message for reject in pool.rejects] == [
        f"{path}:{line}: {message}" for line, (_, message) in enumerate(rows, start=2)
    ]


def test_bad_rows_of_arrow(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"prompt": ["a", None, "b"], "completion": ["1", "2", "3"]}), path)
    pool = open_pool(path)
    assert pool.read(["prompt"]).column(0).to_pylist() == ["a", "b"]
    (reject,) = pool.rejects
    assert reject.message == f"{path} row 2: expected a string in `prompt`, got null"
    assert json.loads(reject.raw) == {"prompt": None, "completion": "2"}


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b'prompt,completion\na,"1\n2"\nb\nc,\xff\nd,"4"\n')
    pool = open_pool(path)
    assert pool.read(["completion"]).column(0).to_pylist() == ["1\n2", "4"]
    assert [(r.line, r.reason) for r in pool.rejects] == [(4, "csv"), (5, "utf8")]
    assert "expected 2 fields, as in the header, got 1" in pool.rejects[0].message
    path.write_bytes(b"prompt,prompt\na,b\n")
    with pytest.raises(DataError, match="expected different column names, got `prompt` twice"):
        open_pool(path)


WHOLE_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("p.jsonl", b"", "expected records, got an empty file; leave it out"),
    "white space": ("p.jsonl", b"\n \n", "got only white space"),
    "UTF-16": ("p.jsonl", GOOD.decode().encode("utf-16"), "got UTF-16 text; convert it: iconv"),
    "zip": ("p.jsonl", b"PK\x03\x04....", "got a zip archive; unpack it first"),
    "bzip2": ("p.json", b"BZh9....", "got bzip2; unpack it first"),
    "xz": ("p.jsonl", b"\xfd7zXZ\x00..", "got xz; unpack it first"),
    "parquet as jsonl": ("p.jsonl", b"PAR1....", "got a Parquet file; name it .parquet"),
    "jsonl as parquet": ("p.parquet", GOOD, "expected a Parquet file, got one that begins b'{"),
    "jsonl as arrow": ("p.arrow", GOOD, "expected an Arrow file, got one that begins b'{"),
    "jsonl as csv": ("p.csv", GOOD, "got JSON under the name of a CSV file"),
    "damaged parquet": ("p.parquet", b"PAR1" + b"x" * 40, "expected a Parquet file, got a damaged"),
    "damaged arrow": (
        "p.arrow",
        b"ARROW1\0\0" + b"x" * 40,
        "expected an Arrow file, got a damaged",
    ),
    "some text": ("p.txt", b"Dear all,\nhello", "got text that begins with `Dear all,"),
    "no schema": ("p.jsonl", b'{"a": 1, "b": 2}\n', "expected columns of a known schema"),
    "no record": ("p.jsonl", b"nonsense\n" * 3, "got no readable record"),
    "indented": ("p.json", b'{\n  "prompt": "p"\n}\n', "got no readable record"),
}


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_a_bad_file_is_named(tmp_path: Path, name: str) -> None:
    file_name, data, message = WHOLE_FILES[name]
    path = tmp_path / file_name
    path.write_bytes(data)
    with pytest.raises(LmmixupError) as raised:
        open_pool(path)
    assert str(raised.value).startswith(str(path)), raised.value
    assert message in str(raised.value)
    assert isinstance(raised.value, DataError | FileError)


def test_a_folder_of_nothing_known(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"got a folder with notes.txt; name files, as "):
        open_pool(tmp_path)


@pytest.mark.parametrize("packing", ["gz", "zst"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_archive_gives_what_it_has(tmp_path: Path, packing: str, share: float) -> None:
    rows = [{"prompt": f"p{number * 7919}", "completion": "c"} for number in range(20_000)]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path = tmp_path / f"p.jsonl.{packing}"
    if packing == "gz":
        path.write_bytes(gzip.compress(data))
    else:
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(data)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    pool = open_pool(path)
    got = pool.read(["prompt"]).column(0).to_pylist()
    assert got == [row["prompt"] for row in rows[: len(got)]]
    (reject,) = pool.rejects
    assert (reject.line, reject.reason) == (len(got) + 1, "truncated")
    assert "expected a whole compressed file, got " in reject.message


def test_a_line_of_50_mb_works_and_a_longer_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    long = json.dumps({"prompt": "p", "completion": "x\n" * (25 << 20)}).encode()
    path.write_bytes(GOOD + long + b"\n" + GOOD)
    pool = open_pool(path, PoolOptions(max_line_mb=100))
    lengths = [len(text) for text in pool.read(["completion"]).column(0).to_pylist()]
    assert lengths == [1, 50 << 20, 1]
    for limit in (1.0, 10.0):
        pool = open_pool(path, PoolOptions(max_line_mb=limit))
        assert pool.num_records == 2
        (reject,) = pool.rejects
        assert reject.line == 2
        assert reject.message == (
            f"{path}:2: expected a record of at most {limit:g} MiB, got a longer one; "
            "raise the limit with --max-line-mb, or look whether newlines are missing"
        )
        assert len(reject.raw) == 64 << 10


def test_strict_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_bytes(GOOD + b"{\n" + GOOD)
    lmmixup = [sys.executable, "-m", "lmmixup", "pool", "import", str(path), "-q"]
    strict = subprocess.run([*lmmixup, "-o", str(tmp_path / "a"), "--strict"],
                            capture_output=True, text=True, check=False)  # fmt: skip
    assert strict.returncode == 1
    assert f"{path}:2: expected a field name" in strict.stderr
    assert not (tmp_path / "a").exists()
    kept = subprocess.run([*lmmixup, "-o", str(tmp_path / "b")],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert kept.returncode == 3
    assert f"rejected: {path}:2: expected a field name" in kept.stderr


def outcome(path: Path) -> tuple[int, int] | None:
    """Records and rejects, or `None` where the file as a whole was refused with a sentence."""
    try:
        pool = open_pool(path, PoolOptions(max_line_mb=0.01))
        table = pool.read()
    except LmmixupError as error:
        assert str(path) in str(error)  # noqa: PT017 some files are fine
        return None
    assert pool.num_records == table.num_rows
    return table.num_rows, len(pool.rejects)


@given(data=st.binary(min_size=1, max_size=300))
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("name", ["p.jsonl", "p.json", "p.csv", "p", "p.parquet", "p.arrow"])
def test_random_bytes(tmp_path_factory: pytest.TempPathFactory, name: str, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(data)
    outcome(path)


LINE = st.sampled_from([
    GOOD.strip(),
    b'{"prompt": "\\u00e9\\ud83d\\ude00", "completion": "\\n", "x": [1, {"y": null}], "n": 1.5e3}',
    b'{"prompt": "p", "completion": "c", "n": 12345678901234567890, "t": true}',
])  # fmt: skip


@given(
    lines=st.lists(LINE, min_size=1, max_size=12),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3)), max_size=5),
)
@settings(max_examples=400, deadline=None)
def test_mutated_lines(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[bytes],
    changes: list[tuple[int, bytes]],
) -> None:
    data = bytearray(GOOD + b"\n".join(lines))
    for place, piece in changes:
        at = len(GOOD) + place % (len(data) - len(GOOD) + 1)
        data[at : at + len(piece)] = piece
    path = tmp_path_factory.getbasetemp() / "mutated.jsonl"
    path.write_bytes(data)
    rest = bytes(data).split(b"\n")
    records = [line for line in rest if line.strip(b" \t\r\n\x0b\x0c")]
    good = sum(is_record(line) for line in records)
    assert outcome(path) == (good, len(records) - good)


def is_record(line: bytes) -> bool:
    """The same question, answered by Python's own parser."""

    def refuse(_: str) -> None:
        raise ValueError

    try:
        row = json.loads(line.decode("utf-8").removesuffix("\r"), parse_constant=refuse)
        json.dumps(row, ensure_ascii=False).encode()
    except ValueError:
        return False
    texts = isinstance(row, dict) and (row.get("prompt"), row.get("completion"))
    return bool(texts) and all(isinstance(text, str) for text in texts)


@given(cut=st.integers(1, 10**6), flips=st.lists(st.integers(0, 10**6), max_size=2))
@settings(max_examples=150, deadline=None)
def test_damaged_archives(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flips: list[int]
) -> None:
    packed = bytearray(gzip.compress(b"".join(
        b'{"prompt": "p%d", "completion": "c"}\n' % (n * 7919) for n in range(300)
    )))  # fmt: skip
    del packed[max(2, cut % (len(packed) + 50)) :]
    for flip in flips:
        if len(packed) > 2:
            packed[2 + flip % (len(packed) - 2)] ^= 0x10
    path = tmp_path_factory.getbasetemp() / "damaged.jsonl.gz"
    path.write_bytes(packed)
    counts = outcome(path)
    assert counts is None or counts[0] <= 300
