"""`lmmixup rate` as a process: killed, resumed, out of reach, and silent about its key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from llm_server import LLMServer, Reply

from lmmixup.cli import main

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-never-to-be-seen-1234567890"


def command(*args: str | Path) -> list[str]:
    return [sys.executable, "-m", "lmmixup", "rate", *map(str, args)]


def lmmixup_rate(*args: str | Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OPENAI_API_KEY": KEY}
    return subprocess.run(command(*args), capture_output=True, text=True, check=False, env=env)


def options(server: LLMServer, tmp_path: Path) -> list[str]:
    return ["--base-url", server.url, "--model", "m", "--cache", str(tmp_path / "cache.sqlite")]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.jsonl"
    rows = [{"prompt": f"question {row}", "completion": f"answer {row}"} for row in range(400)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_writes_the_folder_and_says_the_cost(server: LLMServer, pool: Path, tmp_path: Path) -> None:
    done = lmmixup_rate(pool, "-o", tmp_path / "out", *options(server, tmp_path),
                        "--price-in", "1", "--price-out", "2")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "400 answers, 0 from the cache, 48,000 tokens, cost 0.0560" in done.stderr
    assert "100% of the ratings are 3" in done.stderr
    assert (
        pq.read_table(tmp_path / "out" / "data.parquet").column("rating").to_pylist() == [3] * 400
    )


def stall_after(enough: int, number: int, _request: dict[str, Any]) -> Reply:
    return Reply(delay_s=0.02 if number <= enough else 200)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 3])
@pytest.mark.parametrize("cache", ["file", "none"])
def test_killed_and_started_again_pays_once_and_writes_the_same_bytes(
    server: LLMServer, pool: Path, tmp_path: Path, kills: int, cache: str
) -> None:
    place = str(tmp_path / "cache.sqlite") if cache == "file" else "none"
    shared = ["--base-url", server.url, "--model", "m", "--concurrency", "8", "--quiet"]
    whole = lmmixup_rate(pool, "-o", tmp_path / "whole", *shared, "--cache", "none")
    assert whole.returncode == 0, whole.stderr
    server.answered.clear()
    server.num_calls = 0
    args = command(pool, "-o", tmp_path / "killed", *shared, "--cache", place)
    for kill in range(1, kills + 1):
        enough = kill * 400 // (kills + 1)
        # From there on the server stalls, so that the run is not over before it is killed.
        server.script = partial(stall_after, enough)
        process = subprocess.Popen(args, stderr=subprocess.PIPE, text=True)
        while server.num_calls < enough:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (tmp_path / "killed").exists()
    server.script = lambda *_: None
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # An answer that was under way when the process died is not an answered request.
    assert sum(server.answered.values()) <= 400 + 8 * kills
    assert len(server.answered) == 400
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "killed").iterdir())
    for name in names:
        same = (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
        assert same, name


def test_ctrl_c_is_felt_while_the_server_stalls(
    server: LLMServer, pool: Path, tmp_path: Path
) -> None:
    server.script = lambda number, _request: Reply(delay_s=200) if number > 20 else None
    args = command(pool, "-o", tmp_path / "out", *options(server, tmp_path))
    process = subprocess.Popen(args, stderr=subprocess.PIPE, text=True)
    while server.num_calls < 21:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=150)  # the server stalls for longer
    assert process.returncode == 130, errors
    assert "interrupted; the same command continues" in errors
    assert "Traceback" not in errors


def test_the_key_is_nowhere(server: LLMServer, pool: Path, tmp_path: Path) -> None:
    echo = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()
    server.script = lambda number, _request: (
        Reply(status=400, raw=echo) if number % 7 == 0 else None
    )
    done = lmmixup_rate(pool, "-o", tmp_path / "out", *options(server, tmp_path))
    assert done.returncode == 0, done.stderr
    assert server.calls[0]["_authorization"] == f"Bearer {KEY}"
    server.script = lambda *_: Reply(status=401, raw=echo)
    failed = lmmixup_rate(pool, "-o", tmp_path / "failed", *options(server, tmp_path))
    assert failed.returncode == 1
    assert "Incorrect API key provided: ***" in failed.stderr
    texts = [done.stdout, done.stderr, failed.stdout, failed.stderr]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 6
    for content in [*(text.encode() for text in texts), *(path.read_bytes() for path in files)]:
        assert KEY.encode() not in content
    answers = pq.read_table(tmp_path / "out" / "answers.parquet").column("detail").to_pylist()
    assert any("***" in (detail or "") for detail in answers)
    assert not any(KEY in (detail or "") for detail in answers)


def bad_inputs(tmp_path: Path, server: LLMServer) -> list[tuple[list[Any], str]]:
    (tmp_path / "text.sqlite").write_text("not a database " * 50)
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "fields.jsonl").write_text('{"title": "no prompt"}\n')
    pool = tmp_path / "pool.jsonl"
    good = options(server, tmp_path)
    return [
        (
            [pool, *good, "--base-url", "http://127.0.0.1:9/v1"],
            "cannot reach http://127.0.0.1:9/v1",
        ),
        ([pool, "--base-url", server.url], "name at least one judge"),
        ([pool, *good, "--cache", tmp_path / "text.sqlite"], "expected a cache of answers"),
        ([pool, *good, "--rubric", tmp_path / "none.md"], "none.md: No such file"),
        ([pool, *good, "--max-cost", "1"], "max_cost needs price_in and price_out"),
        ([pool, *good, "--temperature", "9"], "--temperature"),
        ([pool, *good, "--api-key-file", tmp_path / "no"], "no: No such file"),
        ([tmp_path / "empty.jsonl", *good], "empty.jsonl"),
        ([tmp_path / "fields.jsonl", *good], "fields.jsonl"),
        ([tmp_path / "nowhere.jsonl", *good], "nowhere.jsonl"),
    ]


def test_bad_input_is_one_clear_line(
    server: LLMServer, pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for args, message in bad_inputs(tmp_path, server):
        with pytest.raises(SystemExit) as exit_:
            main(["rate", *map(str, args), "-o", str(tmp_path / "out"), "--quiet"])
        errors = capsys.readouterr().err
        is_usage = message in ("name at least one judge", "--temperature") or "needs" in message
        assert exit_.value.code == (2 if is_usage else 1), message
        assert message in errors
        assert len(errors.strip().splitlines()) == 1, errors
        assert not (tmp_path / "out").exists()
    assert server.num_calls == 0


def test_someone_elses_json_is_one_clear_line_and_is_kept(
    server: LLMServer, pool: Path, tmp_path: Path
) -> None:
    server.script = lambda *_: Reply(text='{"winner": "A"}')
    few = tmp_path / "few.jsonl"
    few.write_text("".join(pool.read_text().splitlines(keepends=True)[:9]))
    done = lmmixup_rate(few, "-o", tmp_path / "out", *options(server, tmp_path), "--quiet")
    assert done.returncode == 1
    assert done.stderr.startswith("lmmixup: none of 9 records was rated: 9 no scores in the answer")
    rows = pq.read_table(tmp_path / "out" / "data.parquet").to_pylist()
    assert [row["rating"] for row in rows] == [None] * 9
    done = lmmixup_rate(pool, "-o", tmp_path / "more", *options(server, tmp_path), "--quiet")
    assert done.returncode == 1
    assert "the first 50 records got no rating" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "more").exists()


def test_dry_run(server: LLMServer, pool: Path, tmp_path: Path) -> None:
    done = lmmixup_rate(pool, "-o", tmp_path / "out", *options(server, tmp_path), "--dry-run",
                        "--judge-repeat", "2", "--model", "n", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = json.loads(done.stdout)
    assert lines["requests"] == "1,600"
    assert lines["price at most"].startswith("unknown")
    assert server.num_calls == 0
    assert sorted(os.listdir(tmp_path)) == ["pool.jsonl"]
