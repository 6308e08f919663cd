"""From one score to probabilities of classes and to a class.

Shapes: N records, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

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
        thresholds: C - 1, ascending; infinite where all records or none are in class c or above.
        cuts: C - 1, ascending, infinite likewise; the class is the number of cuts at or below the
            score.
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
        """As it stands in the manifest; what is infinite as null."""
        lists = {"thresholds": self.thresholds, "cuts": self.cuts}
        finite = {
            name: [v if np.isfinite(v) else None for v in all_] for name, all_ in lists.items()
        }
        return {"slope": self.slope, **finite}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Calibration:
        """Reads what `to_dict` wrote."""
        return cls(stored["slope"], _filled(stored["thresholds"]), _filled(stored["cuts"]))


def _filled(stored: list[float | None]) -> tuple[float, ...]:
    """Infinities in place of nulls: below the first number, and above the last."""
    known = [at for at, value in enumerate(stored) if value is not None]
    first = known[0] if known else len(stored)
    return tuple(
        (-np.inf if at < first else np.inf) if value is None else value
        for at, value in enumerate(stored)
    )


def fit_calibration(
    score_N: NDArray[np.float64],
    ratings_N: NDArray[np.int64],
    num_classes: int,
    cut_points: Literal["prior", "kappa"] = "prior",
) -> Calibration:
    """Fits probabilities by likelihood, and cut-points by one of two aims.

    The probabilities come from one logistic regression of the C - 1 questions "is it at least
    c?" with a slope in common and a threshold each, so they never cross and each question is
    right on average.

    Args:
        score_N: (N,) scores.
        ratings_N: (N,) classes.
        num_classes: C.
        cut_points: `prior` keeps the shares of the classes, `kappa` has the greatest quadratic
            weighted kappa.

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
    fit_cuts = prior_cuts if cut_points == "prior" else kappa_cuts
    cuts = fit_cuts(score_N, ratings_N, num_classes)
    # A rating that no record has is given to none, not even to the one of the greatest score.
    cuts = np.where(share == 0, np.inf, np.where(share == 1, -np.inf, cuts))
    return Calibration(float(slope), tuple(thresholds.tolist()), tuple(cuts.tolist()))


def prior_cuts(
    score_N: NDArray[np.float64], ratings_N: NDArray[np.int64], num_classes: int
) -> NDArray[np.float64]:
    """Cut-points by which the classes have the shares that they have among the ratings.

    Args:
        score_N: (N,) scores.
        ratings_N: (N,) classes.
        num_classes: C.

    Returns:
        (C - 1,) cut-points, ascending. Records of equal score stay together in the class of the
        first of them that would be above.

    Example:
        >>> prior_cuts(np.array([0.1, 0.2, 0.7, 0.9]), np.array([0, 1, 0, 2]), 3).tolist()
        [0.7, 0.9]
    """
    num_below = np.cumsum(np.bincount(ratings_N, minlength=num_classes))[:-1]
    ordered: NDArray[np.float64] = np.sort(score_N)[np.minimum(num_below, len(score_N) - 1)]
    return ordered


def kappa_cuts(
    score_N: NDArray[np.float64], ratings_N: NDArray[np.int64], num_classes: int
) -> NDArray[np.float64]:
    """Cut-points with the greatest quadratic weighted kappa, one at a time until none moves.

    Args:
        score_N: (N,) scores.
        ratings_N: (N,) classes.
        num_classes: C.

    Returns:
        (C - 1,) cut-points, ascending. They start where the classes keep their shares.
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
    cuts: NDArray[np.float64] = grid[at]
    return cuts


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
