"""Rows come out in the order of their places, whatever the batches and the number of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import reorder

if TYPE_CHECKING:
    from pathlib import Path


def table(num_rows: int) -> pa.Table:
    names = [f"row {row}" * (row % 3) for row in range(num_rows)]
    lists = [[{"role": name}] * (row % 2) for row, name in enumerate(names)]
    return pa.table({"row": range(num_rows), "name": names, "list": lists})


@given(num_rows=st.integers(0, 60), left_out=st.integers(0, 60), step=st.integers(1, 20),
       seed=st.integers(0, 9))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_equals_a_plain_take(
    tmp_path_factory: pytest.TempPathFactory, num_rows: int, left_out: int, step: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("reorder")
    whole = table(num_rows)
    order = np.random.default_rng(seed).permutation(num_rows)[left_out:]
    places = np.full(num_rows, -1)
    places[order] = np.arange(len(order))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reorder, "ROWS_PER_GROUP", 4)
        patch.setattr(reorder, "MAX_BUCKETS", 5)
        tables = list(reorder.reordered(whole.to_batches(step), places, folder))
    if len(order):
        assert pa.concat_tables(tables).equals(whole.take(pa.array(order)).combine_chunks())
        assert len(tables) <= 5
    else:
        assert not tables
    assert not list(folder.iterdir())


def test_a_part_at_a_time(tmp_path: Path) -> None:
    whole = table(40_000)
    places = np.arange(40_000)[::-1].copy()
    sizes = [rows.num_rows for rows in reorder.reordered(whole.to_batches(8192), places, tmp_path)]
    assert sizes == [16_384, 16_384, 7232]
