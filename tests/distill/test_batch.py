"""The Batch API: the same records as asked one by one, attempt by attempt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_server import BatchServer
from llm_server import Reply

from lmmixup.contract import render
from lmmixup.distill import DistillConfig, run
from lmmixup.pool import open_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GOOD = render("t", "Q: What is it?\nA: It is good.")


@pytest.fixture
def server() -> Iterator[BatchServer]:
    pytest.importorskip("aiohttp", reason="the extra `llm` is not installed")
    with BatchServer() as running:
        yield running


def distill(table: pa.Table, server: BatchServer, output: Path, **options: Any) -> dict[str, Any]:
    given = {"retries": 1, "llm_seed": 3, "cache": "none", "batch_poll_s": 0.02, **options}
    config = DistillConfig(mixer="openai:m", base_url=server.url, **given)
    return dict(run(open_pool(table), config, output=output).counts)


def breaks_the_first_of_every_third(_number: int, request: dict[str, Any]) -> Reply:
    found = re.search(r"question (\d+)", request["messages"][-1]["content"])
    assert found is not None
    number = int(found[1])
    return Reply(text="sorry" if number % 3 == 0 and request["seed"] == 3 else GOOD)


def test_batches_make_the_same_records_as_single_calls(
    clustered: Callable[..., pa.Table], server: BatchServer, tmp_path: Path
) -> None:
    server.script = breaks_the_first_of_every_third
    table = clustered(*[[(f"question {n} ", "x"), ("other", "y")] for n in range(12)])
    counts = distill(table, server, tmp_path / "batch", batch=True)
    assert counts["made"] == 12
    # One direct call to try the request, a batch of the others, and a batch of the retries.
    assert (len(server.batches), server.num_batched) == (2, 11 + 4)
    distill(table, server, tmp_path / "direct")
    for path in sorted((tmp_path / "direct").iterdir()):
        assert path.read_bytes() == (tmp_path / "batch" / path.name).read_bytes(), path.name


def test_what_a_batch_leaves_out_is_leftover_with_its_reason(
    clustered: Callable[..., pa.Table], server: BatchServer, tmp_path: Path
) -> None:
    server.script = lambda _number, _request: Reply(text=GOOD)
    server.leave_out = {2}
    table = clustered(*[[(f"question {n} ", "x")] for n in range(6)])
    counts = distill(table, server, tmp_path / "out", batch=True)
    assert (counts["made"], counts["leftover"]) == (5, 1)
    left = pq.read_table(tmp_path / "out" / "leftover.parquet").to_pylist()
    assert [row["reason"] for row in left] == ["batch completed"]


def test_only_a_server_takes_batches() -> None:
    with pytest.raises(ValueError, match="batch asks a server"):
        DistillConfig(batch=True)
