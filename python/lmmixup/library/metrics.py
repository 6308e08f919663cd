"""How well ratings, expectations and probabilities agree with what a judge said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.agreement import quadratic, weighted_kappa

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUM_BINS = 15


def confusion(
    truth_N: NDArray[np.integer], rated_N: NDArray[np.integer], num_classes: int
) -> NDArray[np.int64]:
    """Counts by true class (rows) and rated class (columns): (C, C) int64."""
    keys = truth_N.astype(np.int64) * num_classes + rated_N
    return np.bincount(keys, minlength=num_classes**2).reshape(num_classes, num_classes)


def quadratic_kappa(counts_CC: NDArray[np.integer]) -> float:
    """Quadratic weighted kappa of a confusion matrix; NaN where chance agrees fully.

    Example:
        >>> import numpy as np
        >>> quadratic_kappa(np.array([[2, 0], [1, 1]]))
        0.5
    """
    return weighted_kappa(counts_CC, quadratic(np.arange(len(counts_CC))))


def spearman(a_N: NDArray[np.number], b_N: NDArray[np.number]) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where one side is constant.

    Example:
        >>> import numpy as np
        >>> round(spearman(np.array([1, 2, 3]), np.array([5, 5, 9])), 3)
        0.866
    """
    a, b = _ranks(a_N), _ranks(b_N)
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / length if length > 0 else float("nan")


def calibration_bins(
    probability_N: NDArray[np.float64], happened_N: NDArray[np.bool_], num_bins: int = NUM_BINS
) -> NDArray[np.float64]:
    """Bins of equal mass by probability: (B, 3) count, mean probability, share that happened."""
    order = np.argsort(probability_N, kind="stable")
    parts = [part for part in np.array_split(order, num_bins) if len(part)]
    rows = [(len(part), probability_N[part].mean(), happened_N[part].mean()) for part in parts]
    return np.array(rows).reshape(-1, 3)


def expected_calibration_error(bins_B3: NDArray[np.float64]) -> float:
    """Mean distance of probability and share over the bins, weighted by count."""
    count, probability, share = bins_B3.T
    return float((count * np.abs(probability - share)).sum() / count.sum())


def _ranks(values: NDArray[np.number]) -> NDArray[np.float64]:
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    end = np.cumsum(size)
    mean_rank: NDArray[np.float64] = (end - (size - 1) / 2)[group]
    return mean_rank
