"""Rating by the Batch API, against a server on loopback that has one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_server import BatchServer
from llm_server import Reply

from lmmixup.llm.cost import CostLimitError
from lmmixup.llm.retry import ServerError
from lmmixup.pool import open_pool
from lmmixup.rate import RateConfig, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmmixup.stage import StageResult


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer() as running:
        yield running


def pool(number: int) -> pa.Table:
    rows = range(number)
    return pa.table({"id": [f"r{row}" for row in rows],
                     "prompt": [f"question {row}" for row in rows],
                     "completion": [f"answer {row}" for row in rows]})  # fmt: skip


def rate(server: BatchServer, number: int, output: Path, **options: Any) -> StageResult:
    given = {"base_url": server.url, "model": ("m",), "cache": "none", "batch": True,
             "batch_poll_s": 0.02, "max_retries": 2, **options}  # fmt: skip
    return run(open_pool(pool(number)), RateConfig(**given), output=output)


def rows(output: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(output / "data.parquet").to_pylist())


def test_gives_what_direct_calls_give(server: BatchServer, tmp_path: Path) -> None:
    server.broken = {
        "POST /files",
        "POST /batches",
        "GET /batches/batch-0",
        "GET /files/file-1/content",
    }
    rate(server, 40, tmp_path / "batch", model=("a", "b"))
    assert not server.broken
    # One request directly, to see whether it works at all.
    assert (len(server.batches), server.num_batched, server.num_calls) == (1, 79, 80)
    rate(server, 40, tmp_path / "direct", model=("a", "b"), batch=False)
    for path in (tmp_path / "direct").iterdir():
        assert path.read_bytes() == (tmp_path / "batch" / path.name).read_bytes(), path.name


def test_large_files_are_split(
    server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmmixup.llm.batch.MOST_REQUESTS", 10)
    rate(server, 36, tmp_path / "out")
    assert len(server.batches) == 4
    assert len(rows(tmp_path / "out")) == server.num_calls == 36


def test_errors_and_gaps_are_unrated(server: BatchServer, tmp_path: Path) -> None:
    server.leave_out = {3}
    server.end_status = "expired"
    server.script = lambda _number, request: (
        Reply(status=400) if "question 7\n" in request["messages"][-1]["content"] else None
    )
    rate(server, 12, tmp_path / "out")
    unrated = {
        row["id"]: row["rating_reason"] for row in rows(tmp_path / "out") if not row["rating"]
    }
    assert unrated == {"r4": "batch expired", "r7": "status 400"}
    assert server.num_calls == 11


def test_a_wrong_model_makes_no_batch(server: BatchServer, tmp_path: Path) -> None:
    server.script = lambda *_: Reply(status=404)
    with pytest.raises(ServerError, match="answered 404"):
        rate(server, 12, tmp_path / "out")
    assert server.batches == {}


def test_a_failed_batch_says_why_and_is_made_anew(server: BatchServer, tmp_path: Path) -> None:
    server.end_status = "failed"
    with pytest.raises(ServerError, match="batch-0 failed: the file is not to our taste"):
        rate(server, 12, tmp_path / "out")
    server.end_status = "completed"
    rate(server, 12, tmp_path / "out")
    assert len(server.batches) == 2
    assert server.num_calls == 12


def test_the_cost_limit_holds_before_a_batch_is_made(server: BatchServer, tmp_path: Path) -> None:
    with pytest.raises(CostLimitError, match="stopped at max_cost"):
        rate(server, 500, tmp_path / "out", price_in=100.0, price_out=100.0, max_cost=5.0)
    assert server.batches == {}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["POST /files", "POST /batches", "GET /batches/batch-0"])
def test_killed_at_any_step_the_batch_is_taken_up_again(
    server: BatchServer, tmp_path: Path, moment: str
) -> None:
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in pool(60).to_pylist()))
    server.looks_needed = 1_000_000
    args = [sys.executable, "-m", "lmmixup", "rate", str(path), "-o", str(tmp_path / "out"),
            "--base-url", server.url, "--model", "m", "--cache", "none", "--batch",
            "--batch-poll-s", "0.05", "--quiet"]  # fmt: skip
    process = subprocess.Popen(args, stderr=subprocess.PIPE, text=True)
    while moment not in server.paths:
        assert process.poll() is None
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.looks_needed = 1
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(server.batches) == 1
    assert server.num_batched == 59
    assert len(rows(tmp_path / "out")) == 60
