"""Pools in memory and real texts for the tests of embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def real_texts(shared_data: Path) -> pa.Array:
    """5,000 records of real pools, prompt and completion."""
    table = pq.read_table(shared_data / "sample_5k.parquet").to_pydict()
    rows = zip(table["instruction"], table["input"], table["output"], strict=True)
    return pa.array([f"{a}\n{b}\n{c}" if b else f"{a}\n{c}" for a, b, c in rows], pa.string())
