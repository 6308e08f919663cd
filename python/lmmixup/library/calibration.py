"""From one score to probabilities of classes and to a class.

Shapes: N records, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.library.metrics import quadratic_kappa

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUM_STEPS = 50
NUM_CANDIDATES = 256
"""Quantiles of the score among which cut-points are chosen."""

SLOPE_PENALTY = 1e-2
"""Keeps the slope finite where a small library is separated without error."""


@dataclass(frozen=True)
class Calibration:
    """An ordinal model of the class, and cut-points.

    Attributes:
        slope: P(class >= c) = 1 / (1 + exp(-(slope · score - thresholds[c - 1]))).
        thresholds: C - 1, ascending; infinite for classes that no record has.
        cuts: C - 1, ascending; the class is the number of cuts at or below the score.
    """

    slope: float
    thresholds: tuple[float, ...]
    cuts: tuple[float, ...]

    def probabilities(self, score_N: NDArray[np.float64]) -> NDArray[np.float64]:
        """P(class): (N, C) float64, rows sum to 1."""
        above = _logistic(self.slope * score_N[:, None] - np.array(self.thresholds))
        ones, zeros = np.ones((len(score_N), 1)), np.zeros((len(score_N), 1))
        return -np.diff(np.hstack([ones, above, zeros]), axis=1)

    def classes(self, score_N: NDArray[np.float64]) -> NDArray[np.int8]:
        """Class by cut-points: (N,) int8."""
        return np.searchsorted(np.array(self.cuts), score_N, side="right").astype(np.int8)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the manifest; an infinite threshold as null."""
        finite = [t if np.isfinite(t) else None for t in self.thresholds]
        return {"slope": self.slope, "thresholds": finite, "cuts": list(self.cuts)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Calibration:
        """Reads what `to_dict` wrote."""
        thresholds = stored["thresholds"]
        known = [at for at, threshold in enumerate(thresholds) if threshold is not None]
        first = known[0] if known else len(thresholds)
        filled = [
            (-np.inf if at < first else np.inf) if threshold is None else threshold
            for at, threshold in enumerate(thresholds)
        ]
        return cls(stored["slope"], tuple(filled), tuple(stored["cuts"]))


def fit_calibration(
    score_N: NDArray[np.float64], ratings_N: NDArray[np.int64], num_classes: int
) -> Calibration:
    """Fits probabilities by likelihood and cut-points by quadratic weighted kappa.

    The probabilities come from one logistic regression of the C - 1 questions "is it at least
    c?" with a slope in common and a threshold each, so they never cross and each question is
    right on average.

    Args:
        score_N: (N,) scores.
        ratings_N: (N,) classes.
        num_classes: C.

    Returns:
        The calibration.

    Source:
        Ours; proportional odds of McCullagh, 1980.
    """
    at_least = ratings_N[:, None] >= np.arange(1, num_classes)
    share = at_least.mean(axis=0)
    asked = np.flatnonzero((share > 0) & (share < 1))
    thresholds = np.where(share == 0, np.inf, -np.inf)
    slope, thresholds[asked] = _proportional_odds(score_N, at_least[:, asked])
    cuts = fit_cuts(score_N, ratings_N, num_classes)
    return Calibration(float(slope), tuple(float(t) for t in thresholds), cuts)


def fit_cuts(
    score_N: NDArray[np.float64], ratings_N: NDArray[np.int64], num_classes: int
) -> tuple[float, ...]:
    """Cut-points with the greatest quadratic weighted kappa, one at a time until none moves.

    Args:
        score_N: (N,) scores.
        ratings_N: (N,) classes.
        num_classes: C.

    Returns:
        C - 1 cut-points, ascending. They start where the classes keep their shares.
    """
    share = np.cumsum(np.bincount(ratings_N, minlength=num_classes))[:-1] / len(ratings_N)
    grid = np.quantile(score_N, np.linspace(0, 1, NUM_CANDIDATES))
    bins = np.searchsorted(grid, score_N, side="right")
    by_bin = np.zeros((NUM_CANDIDATES + 1, num_classes), np.int64)
    np.add.at(by_bin, (bins, ratings_N), 1)
    below = np.vstack([np.zeros((1, num_classes), np.int64), np.cumsum(by_bin, axis=0)])
    at = np.rint(share * (NUM_CANDIDATES - 1)).astype(np.int64)
    best = _kappa_at(below, at)
    for _ in range(NUM_STEPS):
        moved = False
        for cut in range(num_classes - 1):
            low = at[cut - 1] if cut else 0
            high = at[cut + 1] if cut < num_classes - 2 else NUM_CANDIDATES - 1
            for candidate in range(low, high + 1):
                trial = at.copy()
                trial[cut] = candidate
                kappa = _kappa_at(below, trial)
                if kappa > best + 1e-12:
                    best, at, moved = kappa, trial, True
        if not moved:
            break
    return tuple(float(cut) for cut in grid[at])


def _kappa_at(below: NDArray[np.int64], at: NDArray[np.int64]) -> float:
    """Kappa with cuts at these grid places; `below[b + 1]` counts the classes in bins 0..b."""
    edges = np.concatenate([[0], at + 1, [len(below) - 1]])
    return quadratic_kappa(np.diff(below[edges], axis=0).T)


def _proportional_odds(
    score_N: NDArray[np.float64], at_least_NQ: NDArray[np.bool_]
) -> tuple[float, NDArray[np.float64]]:
    """Newton's method on the slope and the thresholds; both start where all is equal."""
    num_questions = at_least_NQ.shape[1]
    centre = float(score_N.mean())
    centred = score_N - centre
    slope = 0.0
    share = at_least_NQ.mean(axis=0)
    offsets = np.log(share / (1 - share))
    for _ in range(NUM_STEPS):
        p_NQ = _logistic(slope * centred[:, None] + offsets)
        wrong_NQ, spread_NQ = at_least_NQ - p_NQ, p_NQ * (1 - p_NQ)
        gradient = np.append(wrong_NQ.sum(axis=0), (wrong_NQ * centred[:, None]).sum())
        gradient[-1] -= SLOPE_PENALTY * slope
        hessian = np.zeros((num_questions + 1, num_questions + 1))
        hessian[np.diag_indices(num_questions)] = spread_NQ.sum(axis=0)
        hessian[-1, :-1] = hessian[:-1, -1] = (spread_NQ * centred[:, None]).sum(axis=0)
        hessian[-1, -1] = (spread_NQ * centred[:, None] ** 2).sum() + SLOPE_PENALTY
        step = np.linalg.solve(hessian + 1e-9 * np.eye(num_questions + 1), gradient)
        step *= min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-300))
        offsets, slope = offsets + step[:-1], slope + float(step[-1])
        if np.abs(step).max() < 1e-9:
            break
    return slope, slope * centre - offsets


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    bent: NDArray[np.float64] = 0.5 * (1 + np.tanh(x / 2))
    return bent
