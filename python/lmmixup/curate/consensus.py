"""How a judge errs, from the agreement of a record with its two nearest neighbours (HOC).

Shapes: N records, C classes of ratings, K neighbours, R rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from lmmixup import ops
from lmmixup.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

MAX_CLASSES = 16
"""Different ratings that are told apart; the consensuses of three have the cube of it."""

MAX_ROUNDS = 5000
TOLERANCE = 1e-10
"""The fit ends after this many rounds, or where the mean log-likelihood gains less."""

TINY = 1e-300

NUM_NEAREST = 4
"""The fit looks at every pair of so many nearest neighbours: more triples, less spread."""

MIN_REGION = 200
MIN_REGIONS, MAX_REGIONS = 50, 256
"""Regions have this many records on average at least, and a pool is cut into no more of them. A
pool that gives fewer is one region: choosing among few small ones would choose lucky ratings."""

NUM_DRAWS = 5
"""Draws of regions; the transitions are the mean of the fits, which evens out lucky regions."""

COHERENT_SHARE = 0.5
"""Share of the records, in the regions where neighbours agree most, that the fit looks at."""

MIN_CLUSTERABILITY = 0.2
"""Below it neighbours say too little of each other for the transitions to be trusted."""


@dataclass(frozen=True)
class Transitions:
    """How true ratings become observed ones.

    Attributes:
        matrix_CC: (C, C) probability of the observed class (column) given the true one (row).
        prior_C: (C,) probability of each true class among the records that were fitted.
        log_likelihood: Mean over the triples, in nats.
        num_rounds: Rounds of the fit.
    """

    matrix_CC: npt.NDArray[np.float64]  # noqa: N815
    prior_C: npt.NDArray[np.float64]  # noqa: N815
    log_likelihood: float
    num_rounds: int

    @staticmethod
    def mean(fits: Sequence[Transitions]) -> Transitions:
        """The mean of several fits, with the rounds of all."""
        return Transitions(
            np.mean([fit.matrix_CC for fit in fits], axis=0),
            np.mean([fit.prior_C for fit in fits], axis=0),
            float(np.mean([fit.log_likelihood for fit in fits])),
            sum(fit.num_rounds for fit in fits),
        )

    def prior_of(self, shares_C: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """True shares of the classes where the observed ones are `shares_C`.

        Args:
            shares_C: (C,) observed shares, summing to 1.

        Returns:
            (C,) non-negative, summing to 1: the most likely ones.
        """
        prior_C = np.full(len(shares_C), 1 / len(shares_C))
        for _ in range(1000):
            seen_C = np.einsum("i,ij->j", prior_C, self.matrix_CC)
            ratio_C = np.divide(shares_C, seen_C, out=np.zeros_like(seen_C), where=seen_C > 0)
            prior_C = prior_C * np.einsum("ij,j->i", self.matrix_CC, ratio_C)
        return np.asarray(prior_C / prior_C.sum())


@dataclass(frozen=True)
class Clusterability:
    """How much neighbours say of each other's rating.

    Attributes:
        agreeing: Share of the records whose two nearest neighbours have the same rating as it.
        by_chance: That share if ratings were dealt out anew.
        index: (agreeing - by_chance) / (1 - by_chance); 0 is chance.
        trusted: Whether the index is at least `MIN_CLUSTERABILITY`.
    """

    agreeing: float
    by_chance: float
    index: float
    trusted: bool


def count_consensuses(
    classes_N: npt.NDArray[np.int64],
    idx_NK: npt.NDArray[np.int32],
    num_classes: int,
    rows_R: npt.NDArray[np.int64] | None = None,
    *,
    num_nearest: int = 2,
) -> npt.NDArray[np.float64]:
    """Counts the classes of records and of two of their nearest neighbours.

    Args:
        classes_N: (N,) observed classes in 0..C - 1.
        idx_NK: (N, K >= 2) neighbours, nearest first, -1 where there is none.
        num_classes: C.
        rows_R: The records to look at; all where not given.
        num_nearest: The two neighbours are every pair of this many nearest ones.

    Returns:
        (C, C, C) counts of (record, nearer, farther). Its sums over one and two axes are the
        second- and first-order consensuses.

    Example:
        >>> counts = count_consensuses(np.array([0, 1, 1]), np.array([[1, 2], [2, 0], [1, 0]]), 2)
        >>> counts[0, 1, 1], counts[1, 1, 0]
        (np.float64(1.0), np.float64(2.0))
    """
    rows_R = np.arange(len(classes_N)) if rows_R is None else rows_R
    counts = np.zeros(num_classes**3)
    for nearer, farther in combinations(range(min(num_nearest, idx_NK.shape[1])), 2):
        there_R = rows_R[idx_NK[rows_R, farther] >= 0]
        first_R, second_R = (classes_N[idx_NK[there_R, at]] for at in (nearer, farther))
        code_R = (classes_N[there_R] * num_classes + first_R) * num_classes + second_R
        counts += np.bincount(code_R, minlength=num_classes**3)
    return counts.reshape(num_classes, num_classes, num_classes)


def fit_transitions(counts_CCC: npt.NDArray[np.float64], *, tied: bool = False) -> Transitions:
    """Fits transitions and prior to the third-order consensuses.

    The three ratings of a triple are independent given the record's true class. The record's own
    rating follows the transitions; the neighbours' follow a matrix of their own, so that a
    neighbour may be of another class, unless `tied` says that all three share their class.

    Args:
        counts_CCC: (C, C, C) from `count_consensuses`.
        tied: The published assumption; biased where neighbours differ in class.

    Returns:
        The most likely transitions, by expectation maximisation from a judge who is right in
        six of ten cases.

    Raises:
        DataError: There are no triples, or more than `MAX_CLASSES` classes.

    Notes:
        A round costs C^4; no randomness. Each permutation of the true classes is as likely;
        starting at a judge who is mostly right chooses among them.

    Source:
        Zhu, Song, Liu, "Clusterability as an alternative to anchor points", arXiv 2102.05291;
        used for ratings in DS2, arXiv 2410.10877. The likelihood and the untied neighbours are
        ours.

    Example:
        >>> right = np.zeros((2, 2, 2))
        >>> right[0, 0, 0] = right[1, 1, 1] = 50
        >>> fit_transitions(right).matrix_CC.round(3).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    num_classes, total = len(counts_CCC), counts_CCC.sum()
    if num_classes > MAX_CLASSES:
        raise DataError(f"at most {MAX_CLASSES} classes can be told apart, got {num_classes}")
    if total == 0:
        raise DataError("expected records with two neighbours each, got none")
    shares = counts_CCC / total
    off = 0.4 / max(num_classes - 1, 1)
    own_CC = np.full((num_classes, num_classes), off)
    np.fill_diagonal(own_CC, 0.6)
    other_CC = own_CC
    prior_C = np.maximum(shares.sum(axis=(1, 2)), 1e-3)
    prior_C /= prior_C.sum()
    before, rounds = -np.inf, 0
    while True:
        joint = np.einsum("i,ia,ib,ic->iabc", prior_C, own_CC, other_CC, other_CC)
        seen = np.maximum(joint.sum(axis=0), TINY)
        log_likelihood = float((shares * np.log(seen)).sum())
        if log_likelihood - before < TOLERANCE or rounds == MAX_ROUNDS:
            return Transitions(own_CC, prior_C, log_likelihood, rounds)
        before, rounds = log_likelihood, rounds + 1
        weights = joint * (shares / seen)
        prior_C = weights.sum(axis=(1, 2, 3))
        own, other = weights.sum(axis=(2, 3)), weights.sum(axis=(1, 3)) + weights.sum(axis=(1, 2))
        if tied:
            own = other = own + other
        own_CC, other_CC = _rows_to_one(own, own_CC), _rows_to_one(other, other_CC)


def _rows_to_one(
    sums_CC: npt.NDArray[np.float64], old_CC: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Rows that sum to 1; a class that nothing belongs to keeps what it had."""
    totals_C = sums_CC.sum(axis=1, keepdims=True)
    return np.where(totals_C > TINY, sums_CC / np.maximum(totals_C, TINY), old_CC)


def clusterability(counts_CCC: npt.NDArray[np.float64]) -> Clusterability:
    """How often three neighbours agree, against chance.

    Args:
        counts_CCC: (C, C, C) from `count_consensuses`.

    Returns:
        Shares and index.
    """
    shares = counts_CCC / max(counts_CCC.sum(), 1)
    agreeing = float(np.einsum("iii->", shares))
    by_chance = float((shares.sum(axis=(1, 2)) ** 3).sum())
    index = (agreeing - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0
    return Clusterability(agreeing, by_chance, index, index >= MIN_CLUSTERABILITY)


def region_coherence(
    vectors_ND: npt.NDArray[np.float32],
    classes_N: npt.NDArray[np.int64],
    idx_NK: npt.NDArray[np.int32],
    *,
    seed: int = 0,
    num_threads: int = 0,
) -> npt.NDArray[np.float64]:
    """How much neighbours agree around each record.

    A region is what is nearest to one of some drawn records, so large that a record's own rating
    hardly counts in it.

    Args:
        vectors_ND: (N, D) float32.
        classes_N: (N,) observed classes.
        idx_NK: (N, K >= 2) neighbours.
        seed: Of the drawn records.
        num_threads: 0 takes all cores.

    Returns:
        (M, N) share of equal pairs among a record and its two nearest, in the record's region,
        for `NUM_DRAWS` draws of regions; one draw where the pool is too small for several.

    Source:
        Ours.
    """
    num_regions = min(len(classes_N) // MIN_REGION, MAX_REGIONS)
    first_N, second_N = classes_N[idx_NK[:, 0]], classes_N[idx_NK[:, 1]]
    equal_N = (classes_N == first_N) * 1.0 + (classes_N == second_N) + (first_N == second_N)
    if num_regions < MIN_REGIONS:
        return np.full((1, len(classes_N)), equal_N.mean() / 3)
    rng = np.random.default_rng(seed)
    coherence_MN = np.empty((NUM_DRAWS, len(classes_N)))
    for draw in range(NUM_DRAWS):
        drawn = rng.choice(len(classes_N), num_regions, replace=False)
        centres = np.ascontiguousarray(vectors_ND[np.sort(drawn)])
        nearest = ops.knn(centres, 1, vectors_ND, method="exact", num_threads=num_threads)
        region_N = nearest.idx_QK[:, 0].astype(np.int64)
        sums = np.bincount(region_N, weights=equal_N / 3, minlength=num_regions)
        means = sums / np.maximum(np.bincount(region_N, minlength=num_regions), 1)
        coherence_MN[draw] = means[region_N]
    return coherence_MN


def coherent_rows(coherence_N: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The records in the most coherent regions, `COHERENT_SHARE` of all or a little more.

    Args:
        coherence_N: (N,) one draw of `region_coherence`.

    Returns:
        (R,) rows, ascending.
    """
    least = np.quantile(coherence_N, 1 - COHERENT_SHARE, method="lower")
    return np.flatnonzero(coherence_N >= least)
