"""Cohen's kappa: agreement of two raters beyond chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def weighted_kappa(counts_CC: NDArray[np.number], cost_CC: NDArray[np.number]) -> float:
    """1 - cost of the disagreements / their cost if the raters did not know of each other.

    Args:
        counts_CC: (C, C) how often the first rater gave one class and the second another.
        cost_CC: (C, C) what each disagreement costs, 0 on the diagonal.

    Returns:
        At most 1; NaN where chance alone makes no disagreement.

    Source:
        Cohen, 1960 and 1968.

    Example:
        >>> weighted_kappa(np.array([[2, 0], [1, 1]]), 1 - np.eye(2))
        0.5
    """
    total = max(float(counts_CC.sum()), 1.0)
    by_chance = counts_CC.sum(axis=1)[:, None] * counts_CC.sum(axis=0) / total
    cost_by_chance = float((cost_CC * by_chance).sum())
    if cost_by_chance <= 0:
        return float("nan")
    return 1 - float((cost_CC * counts_CC).sum()) / cost_by_chance


def unequal(values_C: NDArray[np.number]) -> NDArray[np.float64]:
    """(C, C) cost 1 for any two different classes: Cohen's unweighted kappa."""
    return np.asarray(values_C[:, None] != values_C, np.float64)


def quadratic(values_C: NDArray[np.number]) -> NDArray[np.float64]:
    """(C, C) cost by the square of the distance: the quadratic weighted kappa (QWK)."""
    return np.asarray(values_C[:, None] - values_C, np.float64) ** 2
