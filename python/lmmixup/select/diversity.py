"""Records that are not too similar to one that was taken before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup import ops
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    import numpy.typing as npt

BLOCK = 256
"""Vectors that are compared at a time with all that were taken."""


def unlike(
    vectors_RD: npt.NDArray[np.float32],
    max_similarity: float,
    *,
    num: int | None = None,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> tuple[npt.NDArray[np.int64], int]:
    """Takes vectors one by one that are not too similar to one that was taken.

    Args:
        vectors_RD: (R, D) float32 of length 1 or 0, in the order in which they are looked at.
        max_similarity: Most cosine to any taken vector.
        num: Stop when so many are taken.
        num_threads: 0 takes all cores; the result does not depend on it.
        reporter: Where progress goes.

    Returns:
        Rows that were taken, and how many were looked at.

    Notes:
        O(R x taken x D).

    Example:
        >>> unlike(np.array([[1, 0], [1, 0], [0, 1]], np.float32), 0.9)[0].tolist()
        [0, 2]
    """
    taken: list[int] = []
    for start in range(0, len(vectors_RD), BLOCK):
        block = np.ascontiguousarray(vectors_RD[start : start + BLOCK])
        is_far = np.ones(len(block), bool)
        if taken:
            before = np.ascontiguousarray(vectors_RD[taken])
            found = ops.knn(before, 1, block, method="exact", num_threads=num_threads)
            is_far = found.sim_QK[:, 0] <= max_similarity
        inside = np.einsum("id,jd->ij", block, block)  # einsum adds in one order, BLAS may not
        in_block: list[int] = []
        for at in np.flatnonzero(is_far).tolist():
            if len(taken) == num:
                return np.array(taken, np.int64), start + at
            if not (inside[at, in_block] > max_similarity).any():
                in_block.append(at)
                taken.append(start + at)
        reporter("leave out similar ones", start + len(block), len(vectors_RD))
    return np.array(taken, np.int64), len(vectors_RD)
