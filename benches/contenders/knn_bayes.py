"""KNN-Bayes contenders: a fitted library and queries in, posteriors and neighbours out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

K = 16


@dataclass(frozen=True)
class Fitted:
    """A library: (N, D) vectors of length 1, (N,) ratings, prior and transition matrix."""

    vectors: np.ndarray
    ratings: np.ndarray
    prior: np.ndarray
    transition: np.ndarray


def fit(vectors: np.ndarray, seed: int = 0) -> Fitted:
    """A library with drawn ratings, as Alpaca's are spread."""
    from lmmixup import ops

    shares = np.array([0.158, 0.308, 0.359, 0.154, 0.02, 0.001])
    ratings = np.random.default_rng(seed).choice(6, len(vectors), p=shares)
    # The matrix has no part in the speed; neighbours of a sample give one of the right kind.
    sample = vectors[:5000]
    transition = ops.transition(ratings[:5000], ops.knn(sample, 2).idx_QK, num_classes=6)
    prior = np.bincount(ratings, minlength=6) / len(ratings)
    return Fitted(vectors, ratings, prior, transition)


def ours(fitted: Fitted, num_threads: int) -> Run:
    """lmmixup; the vectors are prepared and the table of posteriors made with the library."""
    from lmmixup import ops

    library = ops.Prepared(fitted.vectors, num_threads=num_threads)
    table = ops.posterior_table(K, fitted.prior, fitted.transition)

    def run(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = ops.knn_bayes(
            library, fitted.ratings, queries, k=K, table_HC=table, num_threads=num_threads
        )
        return found.posterior_QC, found.neighbours.idx_QK

    return run


def ours_once(fitted: Fitted, num_threads: int) -> Run:
    """The same with the vectors as they come: checked and coded for this one call."""
    from lmmixup import ops

    table = ops.posterior_table(K, fitted.prior, fitted.transition)

    def run(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = ops.knn_bayes(
            fitted.vectors, fitted.ratings, queries, k=K, table_HC=table, num_threads=num_threads
        )
        return found.posterior_QC, found.neighbours.idx_QK

    return run


def paper(fitted: Fitted, num_threads: int) -> Run:
    """scikit-learn by brute force, then a Python loop, as the paper's code has it."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(
        n_neighbors=K, metric="cosine", algorithm="brute", n_jobs=num_threads
    ).fit(fitted.vectors)
    log_prior, log_transition = np.log(fitted.prior), np.log(fitted.transition)

    def run(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        idx = index.kneighbors(queries, return_distance=False)
        posteriors = []
        for neighbours in idx:
            histogram = np.bincount(fitted.ratings[neighbours], minlength=6)
            log_post = log_prior + log_transition @ histogram
            post = np.exp(log_post - log_post.max())
            posteriors.append(post / post.sum())
        return np.array(posteriors), idx

    return run
