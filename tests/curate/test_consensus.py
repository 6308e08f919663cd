"""Consensuses of three, and the transitions that they give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmixup import reference
from lmmixup.curate import Transitions, clusterability, count_consensuses, fit_transitions
from lmmixup.errors import DataError

NOISE = np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.0, 0.3, 0.7]])
PRIOR = np.array([0.5, 0.3, 0.2])


def expected_counts(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    return 1e6 * np.einsum("i,ia,ib,ic->abc", PRIOR, own, other, other)


@given(st.integers(0, 2**32 - 1), st.integers(3, 30), st.integers(2, 5))
def test_counts_are_those_of_a_loop(seed: int, size: int, num_classes: int) -> None:
    rng = np.random.default_rng(seed)
    idx, _ = reference.knn(rng.standard_normal((size, 4)).astype(np.float32), 4)
    classes = rng.integers(0, num_classes, size)
    rows = np.flatnonzero(rng.random(size) < 0.7)
    expected = np.zeros((num_classes,) * 3)
    for row in rows:
        for near in range(3):
            for far in range(near + 1, 3):
                if idx[row, far] >= 0:
                    expected[classes[row], classes[idx[row, near]], classes[idx[row, far]]] += 1
    counts = count_consensuses(classes, idx, num_classes, rows, num_nearest=3)
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("tied", [True, False])
def test_exact_consensuses_give_the_transitions_back(tied: bool) -> None:
    found = fit_transitions(expected_counts(NOISE, NOISE), tied=tied)
    np.testing.assert_allclose(found.matrix_CC, NOISE, atol=0.01)
    np.testing.assert_allclose(found.prior_C, PRIOR, atol=0.01)


def test_neighbours_of_another_class_bias_only_the_tied_fit() -> None:
    # A fifth of the neighbours are of any class.
    other = 0.8 * NOISE + 0.2 * PRIOR @ NOISE
    counts = expected_counts(NOISE, other)
    free = np.abs(fit_transitions(counts).matrix_CC - NOISE).max()
    tied = np.abs(fit_transitions(counts, tied=True).matrix_CC - NOISE).max()
    assert free < 0.01
    assert tied > 0.05


def test_true_shares_are_recovered() -> None:
    transitions = Transitions(NOISE, PRIOR, 0.0, 0)
    np.testing.assert_allclose(transitions.prior_of(PRIOR @ NOISE), PRIOR, atol=1e-4)


def test_clusterability_is_0_for_chance_and_1_for_agreement() -> None:
    shares = np.array([0.5, 0.3, 0.2])
    chance = clusterability(np.einsum("a,b,c->abc", shares, shares, shares))
    assert chance.index == pytest.approx(0)
    assert not chance.trusted
    agreeing = np.zeros((3, 3, 3))
    agreeing[range(3), range(3), range(3)] = shares
    assert clusterability(agreeing).index == pytest.approx(1)


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(DataError, match="two neighbours each, got none"):
        fit_transitions(np.zeros((2, 2, 2)))
    with pytest.raises(DataError, match="at most 16 classes can be told apart, got 17"):
        fit_transitions(np.ones((17, 17, 17)))
