"""How far two raters agree, counted as their ratings go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.agreement import quadratic, unequal, weighted_kappa
from lmmixup.rate.scores import NUM_CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray


class AgreementTable:
    """Counts of pairs of ratings, filled as records go by.

    Args:
        num_classes: Ratings are 0 to one less.

    Attributes:
        counts: (C, C) int64, the first rater's rating by the second's.

    Source:
        Cohen 1960 and 1968.

    Example:
        >>> table = AgreementTable()
        >>> for first, second in ((0, 0), (1, 1), (2, 2), (2, 3)):
        ...     table.add(first, second)
        >>> table.figures()
        {'num_records': 4, 'exact': 0.75, 'kappa': 0.666667, 'qwk': 0.875}
    """

    def __init__(self, num_classes: int = NUM_CLASSES) -> None:
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    def add(self, first: int, second: int) -> None:
        """Counts one record that both rated."""
        self.counts[first, second] += 1

    def figures(self) -> dict[str, float | int | None]:
        """What the counts say.

        Returns:
            `num_records`; `exact`, the share of equal ratings; Cohen's `kappa`; and `qwk`, which
            weighs a disagreement by the square of its size. `None` where one is not defined: no
            record, or one single rating everywhere.
        """
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
