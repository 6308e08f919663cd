"""Rated pools with vectors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest


def make_pool(size: int, prefix: str, seed: int = 0) -> pa.Table:
    """Records with ratings 0..5, every seventh unrated, and 16-d vectors."""
    rng = np.random.default_rng(seed)
    rows = np.arange(size)
    return pa.table(
        {
            "id": [f"{prefix}{row}" for row in rows],
            "prompt": [f"question {row}" for row in rows],
            "completion": ["answer " * int(n) for n in rng.integers(1, 50, size)],
            "rating": pa.array(rng.integers(0, 6, size), mask=rows % 7 == 0),
            "complexity": rng.integers(1, 7, size).astype(np.float32),
            "vector": list(rng.standard_normal((size, 16)).astype(np.float32)),
        }
    )


@pytest.fixture
def rated() -> pa.Table:
    """210 records, 30 of them unrated."""
    return make_pool(210, "o")


@pytest.fixture
def distilled() -> pa.Table:
    """70 records, 10 of them unrated; no complexity, but a column of their own."""
    table = make_pool(70, "d", seed=1).drop_columns(["complexity"])
    return table.append_column("cluster", pa.array(range(70)))
