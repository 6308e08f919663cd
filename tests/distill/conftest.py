"""A scripted server, and clustered pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from llm_server import LLMServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmmixup.llm.retry.FIRST_WAIT_S", 0.02)


@pytest.fixture
def server() -> Iterator[LLMServer]:
    pytest.importorskip("aiohttp", reason="the extra `llm` is not installed")
    with LLMServer() as running:
        yield running


@pytest.fixture
def clustered() -> Callable[..., pa.Table]:
    """A pool of clusters: each a list of (prompt, completion)."""

    def make(*clusters: list[tuple[str, str]], **columns: list[Any]) -> pa.Table:
        rows = [
            {"id": f"r{number}-{place}", "source": f"s{place}", "prompt": prompt,
             "completion": completion, "cluster": number}
            for number, cluster in enumerate(clusters)
            for place, (prompt, completion) in enumerate(cluster)
        ]  # fmt: skip
        table = pa.Table.from_pylist(rows)
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values))
        return table

    return make
