"""The judges of the benches must be right themselves."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the benches' judge needs scipy")
pytest.importorskip("orjson", reason="the benches' judge needs orjson")

import truth

if TYPE_CHECKING:
    from pathlib import Path

BASE = [f"w{number}" for number in range(12)]
TEXTS = [
    " ".join(BASE),
    " ".join(BASE).upper(),
    " ".join([*BASE, "thirteen"]),
    " ".join([*BASE[:6], "x", *BASE[6:]]),
    "too short",
    "Too  short",
    "another text that shares nothing with any of the others here",
    "",
]


def all_pairs() -> dict[tuple[int, int], float]:
    sets = [truth.shingle(text) for text in TEXTS]
    pairs = itertools.permutations(range(len(TEXTS)), 2)
    values = {(a, b): truth.jaccard(sets[a], sets[b]) for a, b in pairs}
    return {pair: value for pair, value in values.items() if value >= truth.FLOOR}


def as_dict(found: truth.Truth) -> dict[tuple[int, int], float]:
    return {
        (int(a), int(b)): float(j) for a, b, j in zip(found.a, found.b, found.jaccard, strict=True)
    }


def test_both_ways_agree_with_sets() -> None:
    drawn = np.array([0, 2, 4, 6])
    everything = all_pairs()
    assert everything[0, 1] == 1.0
    assert everything[0, 2] == pytest.approx(8 / 9)
    assert everything[4, 5] == 1.0
    assert as_dict(truth.brute_force(TEXTS, block=3)) == everything
    some = truth.sampled([TEXTS[at] for at in drawn], drawn, TEXTS)
    assert as_dict(some) == {pair: j for pair, j in everything.items() if pair[0] in drawn}


def test_recall_and_false_drops() -> None:
    exact = truth.brute_force(TEXTS).at(0.7)
    right = np.array([0, 0, 0, 3, 4, 4, 6, 7])
    assert truth.recall(right, exact) == 1.0
    assert truth.recall(np.arange(8), exact) == 0.0
    drops = truth.false_drops(truth.drop_all_but_first(right), exact)
    assert (drops.dropped, drops.no_kept, drops.no_partner) == (3, 0, 0)
    greedy = np.array([0, 0, 0, 0, 0, 0, 0, 0])
    drops = truth.false_drops(truth.drop_all_but_first(greedy), exact)
    assert (drops.dropped, drops.no_kept, drops.no_partner) == (7, 5, 3)


def test_wrong_names_are_found(tmp_path: Path) -> None:
    rows, kept = np.array([1, 2, 5]), np.array([0, 0, 4])
    named = np.array([1.0, 8 / 9, 1.0])
    assert truth.check_named(TEXTS, rows, kept, named, t=0.7) == 0
    assert truth.check_named(TEXTS, rows, kept, named - 0.1, t=0.7) == 3
    assert truth.check_named(TEXTS, rows, np.array([0, 1, 4]), named, t=0.7) == 1
    truth.brute_force(TEXTS).write(tmp_path / "t.parquet", pool="here")
    assert as_dict(truth.Truth.read(tmp_path / "t.parquet")) == all_pairs()
