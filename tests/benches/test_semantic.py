"""The judge of semantic duplicates must be right itself."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benches"))

from bench_semantic import judge

VECTORS = np.array([[1, 0], [1, 0.1], [2, 0], [0, 1], [0.1, 1], [0, 0]], np.float32)
"""Two bunches and a zero row: 3 + 1 pairs at 0.9."""


def found(partner: list[int]) -> np.ndarray:
    kept = np.array(partner) < 0
    return np.stack([kept, partner, np.where(kept, np.nan, 1.0)]).astype(np.float64)


@pytest.mark.parametrize(
    ("partner", "both_kept", "false_drops", "wrongly_named"),
    [
        ([-1, 0, 0, -1, 3, -1], 0, 0, 0),
        ([-1, -1, -1, -1, -1, -1], 4, 0, 0),
        ([-1, 0, 1, -1, 3, -1], 0, 0, 1),
        ([-1, 0, 0, 0, -1, -1], 0, 0, 1),
        ([-1, 0, 0, 0, 0, 0], 0, 3, 3),
    ],
)
def test_who_was_kept_is_judged(
    partner: list[int], both_kept: int, false_drops: int, wrongly_named: int
) -> None:
    judged = judge(VECTORS, found(partner), 0.9)
    assert judged["pairs"] == 4
    assert judged["pairs_both_kept"] == both_kept
    assert judged["false_drops"] == false_drops
    assert judged["wrongly_named"] == wrongly_named
