"""Which ratings are probably wrong, and what they should be.

Shapes: N records, C classes of ratings, K neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmmixup.curate.consensus import Transitions

NUM_STRATA = 16
NUM_BINS = 10
"""Neighbours are put into so many strata of coherence, times bins of similarity, times bins of
similarity within the neighbourhood; all of a cell are trusted alike."""

PSEUDO_COUNT = 5.0
"""Neighbours of average agreement that each cell begins with."""

WEIGHTS = np.arange(1, 31) / 20
"""Weights of the neighbours that are tried: 0.05, 0.1, ... 1.5."""

LEAST = 1e-9


@dataclass(frozen=True)
class Corrections:
    """What became of the ratings.

    Attributes:
        classes_N: (N,) classes after curation.
        confidence_N: (N,) probability of that class, or share of the neighbours that have it.
        is_changed_N: (N,) whether it is another one than before.
        weight: How much of independent evidence the neighbours are; `None` for votes.
        mean_trust: Mean trust in the neighbours; `None` for votes.
    """

    classes_N: npt.NDArray[np.int64]  # noqa: N815
    confidence_N: npt.NDArray[np.float64]  # noqa: N815
    is_changed_N: npt.NDArray[np.bool_]  # noqa: N815
    weight: float | None = None
    mean_trust: float | None = None


def correct_by_votes(
    classes_N: npt.NDArray[np.int64],
    idx_NK: npt.NDArray[np.int32],
    num_classes: int,
    *,
    confidence: float = 0.5,
) -> Corrections:
    """Takes the majority of the neighbours where it is large enough.

    Args:
        classes_N: (N,) observed classes.
        idx_NK: (N, K) neighbours, -1 where there is none.
        num_classes: C.
        confidence: Least share of the K neighbours.

    Returns:
        The corrections; the lowest of equally frequent classes is the majority.

    Source:
        DS2, arXiv 2410.10877; METHOD §4.
    """
    votes_NC = np.zeros((len(classes_N), num_classes))
    for idx_N in idx_NK.T:
        votes_NC[np.arange(len(classes_N)), classes_N[idx_N]] += idx_N >= 0
    votes_NC /= idx_NK.shape[1]
    return _decide(classes_N, votes_NC, confidence)


def correct(
    classes_N: npt.NDArray[np.int64],
    idx_NK: npt.NDArray[np.int32],
    sim_NK: npt.NDArray[np.float32],
    coherence_N: npt.NDArray[np.float64],
    transitions: Transitions,
    *,
    confidence: float = 0.6,
) -> Corrections:
    """Takes the most probable class given the record's own rating and its neighbours'.

    A neighbour is of the record's class with a probability, its trust, that is read off how often
    ratings of such neighbours agree; else it says nothing. Neighbours repeat each other, so their
    evidence is weighted, with the weight under which it best predicts the records' own ratings.
    Nothing but observed ratings is used, and what comes out is calibrated on them.

    Args:
        classes_N: (N,) observed classes.
        idx_NK: (N, K) neighbours, nearest first, -1 where there is none.
        sim_NK: (N, K) their cosines.
        coherence_N: (N,) mean of the draws of `region_coherence`.
        transitions: From `fit_transitions`.
        confidence: Least probability of a class that replaces another.

    Returns:
        The corrections.

    Notes:
        O(N K C) time, O(N (K + C)) memory; same result at any number of threads.

    Source:
        Ours.
    """
    matrix_CC = np.maximum(transitions.matrix_CC, LEAST)
    shares_C = np.bincount(classes_N, minlength=len(matrix_CC)) / len(classes_N)
    prior_C = transitions.prior_of(shares_C)
    of_all = replace(transitions, matrix_CC=matrix_CC, prior_C=prior_C)
    trust_NK = neighbour_trust(classes_N, idx_NK, sim_NK, coherence_N, of_all)
    evidence_NC = np.zeros((len(classes_N), len(matrix_CC)))
    for idx_N, trust_N in zip(idx_NK.T, trust_NK.T, strict=True):
        seen_N = classes_N[idx_N]
        strange_N = (1 - trust_N) * shares_C[seen_N]
        evidence_NC += np.log(trust_N[:, None] * matrix_CC.T[seen_N] + strange_N[:, None])
    log_prior_C = np.log(np.maximum(prior_C, LEAST))
    weight = _best_weight(classes_N, evidence_NC, matrix_CC, log_prior_C)
    own_NC = np.log(matrix_CC.T[classes_N])
    posterior_NC = _normalise(log_prior_C + weight * evidence_NC + own_NC)
    decided = _decide(classes_N, posterior_NC, confidence)
    there_NK = idx_NK >= 0
    return Corrections(
        decided.classes_N,
        decided.confidence_N,
        decided.is_changed_N,
        weight,
        float(trust_NK[there_NK].mean()),
    )


def neighbour_trust(
    classes_N: npt.NDArray[np.int64],
    idx_NK: npt.NDArray[np.int32],
    sim_NK: npt.NDArray[np.float32],
    coherence_N: npt.NDArray[np.float64],
    transitions: Transitions,
) -> npt.NDArray[np.float64]:
    """Probability that a neighbour has the true class of its record.

    Ratings of two records of one class agree with a probability that follows from the transitions,
    those of strangers by chance; the observed agreement of neighbours in a like place lies between.

    Args:
        classes_N: (N,) observed classes.
        idx_NK: (N, K) neighbours, -1 where there is none.
        sim_NK: (N, K) their cosines.
        coherence_N: (N,) mean of the draws of `region_coherence`.
        transitions: With the true shares of all records as prior.

    Returns:
        (N, K) in 0.01..0.99; 0 where there is no neighbour.

    Source:
        Ours.
    """
    matrix_CC, prior_C = transitions.matrix_CC, transitions.prior_C
    there_NK = idx_NK >= 0
    agree_NK = (classes_N[idx_NK] == classes_N[:, None]) & there_NK
    of_one_class = float(np.einsum("i,ij,ij->", prior_C, matrix_CC, matrix_CC))
    shares_C = np.bincount(classes_N, minlength=len(prior_C)) / len(classes_N)
    of_strangers = float((shares_C**2).sum())
    distance_NK = 1 - sim_NK.astype(np.float64)
    relative_NK = distance_NK / np.maximum(distance_NK.mean(axis=1, keepdims=True), LEAST)
    cell_NK = _bins(coherence_N, NUM_STRATA)[:, None] * NUM_BINS + _bins(distance_NK, NUM_BINS)
    cell_NK = cell_NK * NUM_BINS + _bins(relative_NK, NUM_BINS)
    size = NUM_STRATA * NUM_BINS * NUM_BINS
    counts = np.bincount(cell_NK[there_NK], minlength=size)
    agreeing = np.bincount(cell_NK[there_NK], weights=agree_NK[there_NK], minlength=size)
    average = agree_NK.sum() / max(there_NK.sum(), 1)
    rates = (agreeing + PSEUDO_COUNT * average) / (counts + PSEUDO_COUNT)
    trust = (rates - of_strangers) / max(of_one_class - of_strangers, LEAST)
    return np.where(there_NK, np.clip(trust, 0.01, 0.99)[cell_NK], 0.0)


def _bins(values: npt.NDArray[np.float64], num_bins: int) -> npt.NDArray[np.int64]:
    """Places of values among the quantiles of all of them."""
    edges = np.quantile(values, np.arange(1, num_bins) / num_bins)
    return np.searchsorted(edges, values, side="right")


def _best_weight(
    classes_N: npt.NDArray[np.int64],
    evidence_NC: npt.NDArray[np.float64],
    matrix_CC: npt.NDArray[np.float64],
    log_prior_C: npt.NDArray[np.float64],
) -> float:
    rows_N = np.arange(len(classes_N))
    gains = []
    for weight in WEIGHTS:
        true_NC = _normalise(log_prior_C + weight * evidence_NC)
        observed_NC = np.einsum("ni,ij->nj", true_NC, matrix_CC)
        gains.append(float(np.log(observed_NC[rows_N, classes_N]).mean()))
    return float(WEIGHTS[int(np.argmax(gains))])


def _normalise(log_NC: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    odds_NC = np.exp(log_NC - log_NC.max(axis=1, keepdims=True))
    return np.asarray(odds_NC / odds_NC.sum(axis=1, keepdims=True))


def _decide(
    classes_N: npt.NDArray[np.int64], belief_NC: npt.NDArray[np.float64], confidence: float
) -> Corrections:
    rows_N = np.arange(len(classes_N))
    best_N = belief_NC.argmax(axis=1)
    is_changed_N = (best_N != classes_N) & (belief_NC[rows_N, best_N] >= confidence)
    after_N = np.where(is_changed_N, best_N, classes_N)
    return Corrections(after_N, belief_NC[rows_N, after_N], is_changed_N)
