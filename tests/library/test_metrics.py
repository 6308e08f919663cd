"""The metrics against SciPy, scikit-learn's definition, and cases done by hand."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from lmmixup.library.calibration import Calibration, fit_calibration, kappa_cuts, prior_cuts
from lmmixup.library.metrics import (
    calibration_bins,
    confusion,
    expected_calibration_error,
    quadratic_kappa,
    spearman,
)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=60))
@settings(max_examples=60, deadline=None)
def test_spearman_is_scipys(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs).T
    if np.ptp(a) and np.ptp(b):
        assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    else:
        assert np.isnan(spearman(a, b))


def test_kappa_by_hand() -> None:
    truth, rated = np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])
    # cost 1 of 4; by chance (1 * 1 + 2 * 4 + 1 * 0 + ...) / 4 over the margins
    margins = np.outer([1, 1, 2], [1, 2, 1]) / 4
    chance = (margins * np.array([[0, 1, 4], [1, 0, 1], [4, 1, 0]])).sum()
    assert quadratic_kappa(confusion(truth, rated, 3)) == pytest.approx(1 - 1 / chance)
    assert quadratic_kappa(np.diag([3, 2, 5])) == 1
    assert np.isnan(quadratic_kappa(np.diag([3, 0, 0])))


def test_bins_have_equal_mass() -> None:
    p = np.linspace(0, 1, 1000)
    happened = np.zeros(1000, bool)
    bins = calibration_bins(p, happened)
    assert len(bins) == 15
    assert set(bins[:, 0]) == {66, 67}
    assert expected_calibration_error(bins) == pytest.approx(0.5)


def test_calibration_recovers_a_model() -> None:
    rng = np.random.default_rng(0)
    truth = Calibration(2.0, (0.0, 2.0, 4.0), (0.0, 1.0, 2.0))
    score = rng.normal(1.0, 1.0, 20_000)
    cumulated = truth.probabilities(score).cumsum(axis=1)
    ratings = (rng.random(20_000)[:, None] > cumulated).sum(axis=1)
    fitted = fit_calibration(score, ratings, 4)
    assert fitted.slope == pytest.approx(2.0, abs=0.06)
    assert fitted.thresholds == pytest.approx((0.0, 2.0, 4.0), abs=0.12)
    mean = fitted.probabilities(score).mean(axis=0)
    assert mean == pytest.approx(np.bincount(ratings) / 20_000, abs=1e-4)


def test_absent_classes_have_no_probability_and_survive_storage() -> None:
    score = np.linspace(0, 3, 200)
    ratings = np.where(score + np.sin(40 * score) > 1.5, 3, 1)
    fitted = fit_calibration(score, ratings, 6)
    p = fitted.probabilities(score)
    assert p[:, [0, 2, 4, 5]].max() == pytest.approx(0, abs=1e-12)
    assert p.sum(axis=1) == pytest.approx(np.ones(200))
    assert Calibration.from_dict(fitted.to_dict()) == fitted


def test_separable_classes_keep_finite_numbers() -> None:
    fitted = fit_calibration(np.arange(40.0), np.arange(40) // 20 * 5, 6)
    assert np.isfinite(fitted.probabilities(np.array([-1e3, 0.0, 1e3]))).all()


def drawn_scores() -> tuple[np.ndarray, np.ndarray]:
    """Ratings as of Alpaca, and scores that lean towards their mean."""
    rng = np.random.default_rng(1)
    truth = rng.choice(6, 5000, p=[0.16, 0.31, 0.36, 0.14, 0.02, 0.01])
    return truth, 1.6 + 0.5 * (truth - 1.6) + rng.normal(0, 0.5, 5000)


def test_kappa_cuts_beat_equal_shares_and_rounding() -> None:
    truth, score = drawn_scores()
    best, equal = (
        quadratic_kappa(confusion(truth, np.searchsorted(cuts, score, side="right"), 6))
        for cuts in (kappa_cuts(score, truth, 6), prior_cuts(score, truth, 6))
    )
    rounded = np.clip(np.rint(score), 0, 5).astype(int)
    assert best >= equal
    assert best > quadratic_kappa(confusion(truth, rounded, 6)) + 0.05


def test_prior_cuts_keep_the_shares() -> None:
    truth, score = drawn_scores()
    fitted = fit_calibration(score, truth, 6, "prior")
    assert np.bincount(fitted.classes(score)).tolist() == np.bincount(truth).tolist()


@pytest.mark.parametrize("cut_points", ["prior", "kappa"])
def test_a_rating_that_nobody_gave_is_given_to_none(cut_points: Literal["prior", "kappa"]) -> None:
    truth, score = drawn_scores()
    fitted = fit_calibration(score, np.clip(truth, 1, 3), 6, cut_points)
    assert set(fitted.classes(np.array([-1e9, *score, 1e9])).tolist()) == {1, 2, 3}
    assert Calibration.from_dict(fitted.to_dict()) == fitted
