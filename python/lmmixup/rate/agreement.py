"""How far raters of the same records agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.agreement import quadratic, unequal, weighted_kappa
from lmmixup.errors import DataError
from lmmixup.rate.scores import NUM_CLASSES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class AgreementTable:
    """Counts of pairs of ratings, filled as records go by.

    Args:
        num_classes: Ratings are 0 to one less.

    Attributes:
        counts: (C, C) int64, the first rater's rating by the second's.
    """

    def __init__(self, num_classes: int = NUM_CLASSES) -> None:
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    def add(self, first: int, second: int) -> None:
        """Counts one record that both rated."""
        self.counts[first, second] += 1

    def figures(self) -> dict[str, float | int | None]:
        """Exact agreement, Cohen's kappa and its quadratic weighting; see `agreement`."""
        total = int(self.counts.sum())
        if total == 0:
            return {"num_records": 0, "exact": None, "kappa": None, "qwk": None}
        classes = np.arange(len(self.counts))
        return {
            "num_records": total,
            "exact": round(float(np.trace(self.counts)) / total, 6),
            "kappa": _known(weighted_kappa(self.counts, unequal(classes))),
            "qwk": _known(weighted_kappa(self.counts, quadratic(classes))),
        }


def _known(kappa: float) -> float | None:
    """Rounded, or `None` where both gave one and the same rating to everything."""
    return None if np.isnan(kappa) else round(kappa, 6)


def agreement(first: ArrayLike, second: ArrayLike) -> dict[str, float | int | None]:
    """Agreement of two raters.

    Args:
        first: (N,) ratings 0..5 of one rater; NaN or `None` is unrated.
        second: (N,) ratings of the other.

    Returns:
        `num_records` that both rated, `exact` share of equal ratings, Cohen's `kappa`, and
        `qwk`, which weighs a disagreement by the square of its size. `None` where it is not
        defined: no common record, or one single rating everywhere.

    Raises:
        DataError: The lengths differ, or a rating is not a whole number of 0..5.

    Source:
        Cohen 1960 and 1968.

    Example:
        >>> agreement([0, 1, 2, 2], [0, 1, 2, 3])
        {'num_records': 4, 'exact': 0.75, 'kappa': 0.666667, 'qwk': 0.875}
    """
    one, two = (np.asarray(ratings, np.float64) for ratings in (first, second))
    if one.shape != two.shape or one.ndim != 1:
        raise DataError(f"expected two (N,) arrays of ratings, got {one.shape} and {two.shape}")
    both = ~(np.isnan(one) | np.isnan(two))
    pairs = np.stack([one[both], two[both]])
    if not ((pairs == np.floor(pairs)) & (pairs >= 0) & (pairs < NUM_CLASSES)).all():
        raise DataError(f"expected ratings in 0..{NUM_CLASSES - 1}, got others")
    table = AgreementTable()
    np.add.at(table.counts, tuple(pairs.astype(np.int64)), 1)
    return table.figures()
