"""How far records are from their neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from lmmixup import ops

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmmixup.ops import OnProgress

RECALL_SAMPLE = 1000
"""Rows on which the recall of approximate neighbours is measured."""


@dataclass(frozen=True)
class LongTail:
    """Long-tail scores of a pool.

    Attributes:
        score_N: (N,) float32 mean cosine distance to the nearest neighbours, in 0..2.
        method: How neighbours were found: `exact`, `blocks` or `usearch`.
        recall: Share of the true neighbours that was found; 1.0 where exact.
    """

    score_N: npt.NDArray[np.float32]  # noqa: N815
    method: str
    recall: float | None


def long_tail(
    vectors_ND: npt.NDArray[np.float32],
    k: int = 15,
    *,
    method: Literal["auto", "exact", "blocks", "usearch"] = "auto",
    seed: int = 0,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> LongTail:
    """Mean cosine distance of each record to its `k` nearest neighbours.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, finite.
        k: Neighbours; of a smaller pool all others. A record that is alone has 1.
        method: As in `ops.knn`.
        seed: Of the cells of `blocks`.
        num_threads: 0 takes all cores; the scores do not depend on it.
        on_progress: Called with phase, units done and total.

    Returns:
        Scores; high is rare.

    Raises:
        DataError: Vectors of another type, shape or layout, or not finite.

    Source:
        DS2, arXiv 2410.10877; METHOD §7.

    Example:
        >>> vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
        >>> long_tail(vectors, k=1).score_N.tolist()
        [0.0, 0.0, 1.0]
    """
    found = ops.knn(
        vectors_ND,
        k,
        method=method,
        recall_sample=RECALL_SAMPLE,
        seed=seed,
        num_threads=num_threads,
        on_progress=on_progress,
    )
    there_NK = found.idx_QK >= 0
    sums_N = (found.sim_QK * there_NK).sum(axis=1, dtype=np.float64)
    counts_N = there_NK.sum(axis=1)
    score_N = 1 - sums_N / np.maximum(counts_N, 1)
    return LongTail(score_N.astype(np.float32), found.method, found.recall)
