"""From a posterior over ratings to a reward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.library import NUM_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def _paper(posterior_QC: NDArray[np.float64]) -> NDArray[np.float64]:
    expected_Q = _expected(posterior_QC)
    return np.select([expected_Q >= 4, expected_Q >= 2.5], [1.0, 0.3], 0.0)


def _map(posterior_QC: NDArray[np.float64]) -> NDArray[np.float64]:
    class_Q = posterior_QC.argmax(axis=1)
    return np.select([class_Q >= 4, class_Q == 3], [1.0, 0.3], 0.0)


def _expectation(posterior_QC: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip((_expected(posterior_QC) - 2) / 2, 0.0, 1.0)


def _p_ge_4(posterior_QC: NDArray[np.float64]) -> NDArray[np.float64]:
    above: NDArray[np.float64] = posterior_QC[:, 4:].sum(axis=1)
    return above


def _expected(posterior_QC: NDArray[np.float64]) -> NDArray[np.float64]:
    return posterior_QC @ np.arange(NUM_CLASSES, dtype=np.float64)


MAPPINGS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "p_ge_4": _p_ge_4,
    "expectation": _expectation,
    "map": _map,
    "paper": _paper,
}
"""Mappings by name, as `RewardConfig.mapping` explains them."""

BRANCHES = {"map": (0.0, 0.3, 1.0), "paper": (0.0, 0.3, 1.0)}
"""Values of the mappings that have only a few."""


def map_scores(posterior_QC: NDArray[np.float64], mapping: str) -> NDArray[np.float64]:
    """Quality rewards.

    Args:
        posterior_QC: (Q, 6) probabilities of the ratings 0 to 5.
        mapping: One of `MAPPINGS`.

    Returns:
        (Q,) float64 in 0..1.

    Source:
        METHOD §10.1.

    Example:
        >>> import numpy as np
        >>> sure_of_3 = np.eye(6)[[3]]
        >>> [float(map_scores(sure_of_3, name)[0]) for name in MAPPINGS]
        [0.0, 0.5, 0.3, 0.3]
    """
    return MAPPINGS[mapping](posterior_QC)
