"""Agreement of judges: on a table by hand, beside scikit-learn's formulas, on three real judges."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from lmmixup.curate import judge_agreement

if TYPE_CHECKING:
    from pathlib import Path


def test_a_table_by_hand() -> None:
    a = np.array([0, 0, 1, 1, 2, 2, np.nan])
    b = np.array([0, 1, 1, 1, 2, 0, 2])
    [pair] = judge_agreement({"a": a, "b": b}, at=2)
    assert pair.num_records == 6
    assert pair.exact == pytest.approx(4 / 6)
    # By chance: (2 * 2 + 2 * 3 + 2 * 1) / 36.
    assert pair.kappa == pytest.approx((4 / 6 - 12 / 36) / (1 - 12 / 36))
    observed = (1 + 4) / 6
    by_chance = (2 * (3 * 1 + 1 * 4) + 2 * (2 * 1 + 1 * 1) + 2 * (2 * 4 + 3 * 1)) / 36
    assert pair.qwk == pytest.approx(1 - observed / by_chance)
    assert pair.high == (pytest.approx(2 / 6), pytest.approx(1 / 6))


def test_every_two_judges_are_compared() -> None:
    ratings = {name: np.arange(4.0) for name in "abc"}
    assert [pair.judges for pair in judge_agreement(ratings)] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]


def test_one_rating_only_has_no_kappa() -> None:
    [pair] = judge_agreement({"a": np.ones(3), "b": np.ones(3)})
    assert pair.exact == 1
    assert np.isnan(pair.kappa)


def test_what_is_not_defined_is_null_in_the_manifest() -> None:
    [pair] = judge_agreement({"a": np.array([1.0, np.nan]), "b": np.array([np.nan, 2.0])})
    figures = pair.to_dict()
    assert (figures["num_records"], figures["kappa"], figures["high"]) == (0, None, [None, None])
    assert json.loads(json.dumps(figures, allow_nan=False))["judges"] == ["a", "b"]


def test_three_real_judges(shared_data: Path) -> None:
    table = pq.read_table(shared_data / "ratings" / "ds2_scores_tulu300k_notext.parquet")
    names = ("gpt_4o_mini", "llama_3_1_8b", "mistral_7b_v0_3")
    ratings = {name: table[name].to_numpy().astype(float) for name in names}
    published = ((0.297, 0.091, 0.250), (0.338, 0.126, 0.329), (0.316, 0.083, 0.197))
    for pair, figures in zip(judge_agreement(ratings), published, strict=True):
        assert (pair.exact, pair.kappa, pair.qwk) == pytest.approx(figures, abs=0.005)
        assert pair.high == tuple((ratings[name] >= 4).mean() for name in pair.judges)
