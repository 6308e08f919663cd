"""Rewards at the borders of their bands."""

from __future__ import annotations

import numpy as np
import pytest

from lmmixup.rewards import map_scores


def between(low: int, share_above: float) -> np.ndarray:
    """A posterior on two neighbouring ratings."""
    posterior = np.zeros((1, 6))
    posterior[0, low : low + 2] = 1 - share_above, share_above
    return posterior


@pytest.mark.parametrize(
    ("low", "share_above", "reward"),
    [(4, 0.5, 1.0), (4, 0.0, 1.0), (3, 0.98, 0.3), (2, 0.5, 0.3), (2, 0.49, 0.0), (0, 0.0, 0.0)],
)
def test_bands_of_the_expected_rating(low: int, share_above: float, reward: float) -> None:
    assert map_scores(between(low, share_above), "paper").tolist() == [reward]


@pytest.mark.parametrize(
    ("rating", "reward"), [(5, 1.0), (4, 1.0), (3, 0.3), (2, 0.0), (1, 0.0), (0, 0.0)]
)
def test_bands_of_the_most_likely_rating(rating: int, reward: float) -> None:
    assert map_scores(np.eye(6)[[rating]], "map").tolist() == [reward]
