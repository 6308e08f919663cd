"""Packing does what best-fit decreasing says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmixup import ops, reference
from lmmixup.errors import ArgumentError


@given(
    lengths=st.lists(st.integers(0, 90), max_size=80),
    capacity=st.integers(90, 200),
    window=st.integers(0, 30),
)
def test_is_the_plain_rule(lengths: list[int], capacity: int, window: int) -> None:
    records, starts = ops.pack(lengths, capacity, window=window)
    rows = [records[a:b].tolist() for a, b in pairwise(starts)]
    assert rows == reference.pack(lengths, capacity, window)


def test_every_record_is_in_one_row_that_holds_it() -> None:
    lengths = np.random.default_rng(0).integers(1, 5000, 20_000)
    records, starts = ops.pack(lengths, 5000)
    assert sorted(records.tolist()) == list(range(20_000))
    assert np.add.reduceat(lengths[records], starts[:-1]).max() <= 5000
    assert lengths.sum() / (5000 * (len(starts) - 1)) > 0.99


def test_no_records_are_no_rows() -> None:
    records, starts = ops.pack([], 10)
    assert (len(records), starts.tolist()) == (0, [0])


def test_refuses_what_fits_nowhere() -> None:
    with pytest.raises(ArgumentError, match="at most 10, got 11 for record 1"):
        ops.pack([3, 11], 10)
