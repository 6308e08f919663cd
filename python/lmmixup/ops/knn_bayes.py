"""KNN-Bayes: the posterior of a class from the labels of the nearest neighbours.

Shapes: N library rows, Q queries, D dimensions, K neighbours, C classes, H histograms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import comb
from typing import TYPE_CHECKING, Literal

import numpy as np

from lmmixup.errors import ArgumentError, DataError
from lmmixup.ops.knn import Neighbours, Prepared, knn, whole_method

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmmixup.ops import OnProgress


@dataclass(frozen=True)
class KnnBayes:
    """Posteriors and what they rest on.

    Attributes:
        posterior_QC: (Q, C) float64, rows sum to 1.
        neighbours: The K nearest of each query.
    """

    posterior_QC: npt.NDArray[np.float64]  # noqa: N815
    neighbours: Neighbours


def transition(
    labels_N: npt.NDArray[np.integer],
    idx_NK: npt.NDArray[np.int32],
    *,
    num_classes: int,
    smoothing: float = 0.01,
) -> npt.NDArray[np.float64]:
    """Estimates T[i, j] = P(a neighbour has label j | the row itself has label i).

    Args:
        labels_N: (N,) labels, 0..C - 1.
        idx_NK: (N, K) rows of the neighbours of each row; -1 counts nothing. METHOD takes K = 2.
        num_classes: C.
        smoothing: Added to each count, above 0, so that no probability is 0.

    Returns:
        (C, C) float64, rows sum to 1; uniform for a label that no row has.

    Raises:
        DataError: A label is outside 0..C - 1, or the rows do not fit.
        ArgumentError: `smoothing` is not above 0.

    Source:
        METHOD §5.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> labels, idx = np.array([0, 0, 1]), np.array([[1], [0], [1]], np.int32)
        >>> ops.transition(labels, idx, num_classes=2).round(2).tolist()
        [[1.0, 0.0], [0.99, 0.01]]
    """
    _check_labels(labels_N, num_classes)
    if smoothing <= 0:
        raise ArgumentError(f"smoothing must be above 0, got {smoothing}")
    if idx_NK.ndim != 2 or len(idx_NK) != len(labels_N):
        raise DataError(f"expected neighbours of {len(labels_N)} rows, got shape {idx_NK.shape}")
    row, at = np.nonzero(idx_NK >= 0)
    pairs = labels_N[row].astype(np.int64) * num_classes + labels_N[idx_NK[row, at]]
    counts = np.bincount(pairs, minlength=num_classes**2).astype(np.float64) + smoothing
    counts_CC = counts.reshape(num_classes, num_classes)
    shares_CC: npt.NDArray[np.float64] = counts_CC / counts_CC.sum(axis=1, keepdims=True)
    return shares_CC


def posterior(
    counts_QC: npt.NDArray[np.integer],
    prior_C: npt.NDArray[np.float64],
    transition_CC: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Posterior of the class, given how many neighbours have each label.

    log post_i = log p_i + sum_j n_j log T[i, j], normalised.

    Args:
        counts_QC: (Q, C) neighbours by label.
        prior_C: (C,) shares of the classes; a class of share 0 stays at 0.
        transition_CC: (C, C), every entry above 0.

    Returns:
        (Q, C) float64, rows sum to 1.

    Notes:
        The sum runs over labels in their order, so a row's bits do not depend on the others.

    Source:
        METHOD §5.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> prior, table = np.array([0.5, 0.5]), np.array([[0.8, 0.2], [0.2, 0.8]])
        >>> ops.posterior(np.array([[1, 0], [1, 1]]), prior, table).round(2).tolist()
        [[0.8, 0.2], [0.5, 0.5]]
    """
    with np.errstate(divide="ignore"):
        log_QC = np.broadcast_to(np.log(prior_C), counts_QC.shape).copy()
    log_T = np.log(transition_CC)
    for label in range(counts_QC.shape[1]):
        log_QC += counts_QC[:, label, None] * log_T[:, label]
    log_QC -= log_QC.max(axis=1, keepdims=True)
    post_QC: npt.NDArray[np.float64] = np.exp(log_QC)
    post_QC /= post_QC.sum(axis=1, keepdims=True)
    return post_QC


@cache
def histograms(k: int, num_classes: int) -> npt.NDArray[np.int64]:
    """All ways to spread `k` neighbours over the classes, in lexicographic order.

    Args:
        k: Neighbours.
        num_classes: C.

    Returns:
        (H, C) int64, read-only; H = (k + C - 1 choose C - 1), 20,349 for 16 and 6.

    Example:
        >>> from lmmixup import ops
        >>> ops.histograms(2, 2).tolist()
        [[0, 2], [1, 1], [2, 0]]
    """
    if num_classes == 1:
        return np.array([[k]], np.int64)
    blocks = []
    for first in range(k + 1):
        rest = histograms(k - first, num_classes - 1)
        blocks.append(np.hstack([np.full((len(rest), 1), first, np.int64), rest]))
    table = np.vstack(blocks)
    table.flags.writeable = False
    return table


def histogram_rank(counts_QC: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Row of each histogram in `histograms`.

    Args:
        counts_QC: (Q, C) counts; all rows sum to the same k.

    Returns:
        (Q,) int64.

    Notes:
        O(Q C) time, after a table of k (k + 1) C numbers.

    Source:
        Ours.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> ops.histogram_rank(np.array([[1, 1], [2, 0]])).tolist()
        [1, 2]
    """
    num_classes = counts_QC.shape[1]
    left_Q = counts_QC.sum(axis=1).astype(np.int64)
    k = int(left_Q[0]) if len(left_Q) else 0
    rank_Q = np.zeros(len(counts_QC), np.int64)
    for label in range(num_classes - 1):
        slots = num_classes - label - 2
        # before[n, m]: histograms of n neighbours whose first count is below m
        sizes = [[comb(n - first + slots, slots) for first in range(n + 1)] for n in range(k + 1)]
        before = np.zeros((k + 1, k + 2), np.int64)
        for n, row in enumerate(sizes):
            before[n, 1 : n + 2] = np.cumsum(row)
        rank_Q += before[left_Q, counts_QC[:, label]]
        left_Q -= counts_QC[:, label]
    return rank_Q


def posterior_table(
    k: int, prior_C: npt.NDArray[np.float64], transition_CC: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Posteriors of all histograms of `k` neighbours: what a kernel looks up.

    Args:
        k: Neighbours.
        prior_C: (C,) shares of the classes.
        transition_CC: (C, C).

    Returns:
        (H, C) float64 in the order of `histograms`; the same bits as `posterior` gives.

    Source:
        Ours.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> prior, table = np.array([0.5, 0.5]), np.array([[0.8, 0.2], [0.2, 0.8]])
        >>> ops.posterior_table(1, prior, table).round(2).tolist()
        [[0.2, 0.8], [0.8, 0.2]]
    """
    return posterior(histograms(k, len(prior_C)), prior_C, transition_CC)


def label_counts(
    labels_N: npt.NDArray[np.integer], idx_QK: npt.NDArray[np.int32], num_classes: int
) -> npt.NDArray[np.int64]:
    """How many neighbours have each label.

    Args:
        labels_N: (N,) labels, 0..C - 1.
        idx_QK: (Q, K) rows of the neighbours; -1 counts nothing.
        num_classes: C.

    Returns:
        (Q, C) int64.

    Source:
        Ours.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> ops.label_counts(np.array([0, 1, 1]), np.array([[0, 1, 2], [2, -1, -1]]), 2).tolist()
        [[1, 2], [0, 1]]
    """
    row, at = np.nonzero(idx_QK >= 0)
    keys = row * num_classes + labels_N[idx_QK[row, at]]
    return np.bincount(keys, minlength=len(idx_QK) * num_classes).reshape(-1, num_classes)


def knn_bayes(
    library_ND: npt.NDArray[np.float32] | Prepared,
    labels_N: npt.NDArray[np.integer],
    queries_QD: npt.NDArray[np.float32] | None,
    *,
    k: int,
    table_HC: npt.NDArray[np.float64],
    method: Literal["auto", "exact", "triton"] = "exact",
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> KnnBayes:
    """Finds the `k` nearest library rows of each query and looks up the posterior.

    Args:
        library_ND: (N, D) float32, C-contiguous, finite; N at least `k`. Prepared ones save
            the time to code them.
        labels_N: (N,) labels, 0..C - 1.
        queries_QD: (Q, D) likewise; `None` takes the library, each row without itself.
        k: Neighbours.
        table_HC: (H, C), as `posterior_table` gives it for `k`.
        method: As in `Prepared.nearest`; by a GPU the neighbours are the same but where two cosines
            are within 1e-6, and the same neighbours have the same posteriors.
        num_threads: 0 takes all cores.
        on_progress: Called with phase, done and total.

    Returns:
        Posteriors and neighbours; ties of cosine go to the lower row.

    Raises:
        DataError: Too few rows, labels out of range, vectors of another shape or not finite.
        ArgumentError: The table is not one for `k`.

    Notes:
        O(Q N D) for the neighbours, O(Q K) for the rest. Same bits at any number of threads.

    Source:
        METHOD §5.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> library, labels = np.eye(2, dtype=np.float32)[[0, 0, 1]], np.array([0, 0, 1])
        >>> prior, table = np.array([0.5, 0.5]), np.array([[0.8, 0.2], [0.2, 0.8]])
        >>> table = ops.posterior_table(1, prior, table)
        >>> found = ops.knn_bayes(library, labels, library[2:], k=1, table_HC=table)
        >>> found.posterior_QC.round(2).tolist()
        [[0.2, 0.8]]
    """
    num_classes = table_HC.shape[1]
    _check_labels(labels_N, num_classes)
    if len(table_HC) != comb(k + num_classes - 1, num_classes - 1):
        raise ArgumentError(
            f"table_HC has {len(table_HC)} rows, which is not a table for k = {k} and "
            f"{num_classes} classes; make it with ops.posterior_table"
        )
    others = len(library_ND) - (queries_QD is None)
    if others < k or len(labels_N) != len(library_ND):
        raise DataError(
            f"expected at least k = {k} labelled neighbours, got {len(library_ND)} rows with "
            f"{len(labels_N)} labels"
        )
    if isinstance(library_ND, Prepared) and queries_QD is not None:
        found = library_ND.nearest(
            queries_QD, k, method=method, num_threads=num_threads, on_progress=on_progress
        )
    else:
        vectors_ND = library_ND.vectors_ND if isinstance(library_ND, Prepared) else library_ND
        num_queries = len(vectors_ND if queries_QD is None else queries_QD)
        found = knn(
            vectors_ND,
            k,
            queries_QD,
            method=whole_method(method, vectors_ND, num_queries, k),
            num_threads=num_threads,
            on_progress=on_progress,
        )
    rank_Q = histogram_rank(label_counts(labels_N, found.idx_QK, num_classes))
    return KnnBayes(table_HC[rank_Q], found)


def _check_labels(labels_N: npt.NDArray[np.integer], num_classes: int) -> None:
    if labels_N.ndim != 1 or not np.issubdtype(labels_N.dtype, np.integer):
        raise DataError(
            f"labels must be 1-D whole numbers, got {labels_N.dtype} of shape {labels_N.shape}"
        )
    if len(labels_N) and not 0 <= labels_N.min() <= labels_N.max() < num_classes:
        raise DataError(
            f"labels must be in 0..{num_classes - 1}, got {labels_N.min()}..{labels_N.max()}"
        )
