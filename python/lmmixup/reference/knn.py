"""Neighbours by the whole matrix of cosines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def knn(
    vectors_ND: npt.NDArray[np.float32],
    k: int,
    queries_QD: npt.NDArray[np.float32] | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The `k` nearest vectors by cosine, from the whole matrix of similarities.

    Args:
        vectors_ND: (N, D) finite; a row of zeros has cosine 0 with everything.
        k: Neighbours of each query.
        queries_QD: (Q, D); `None` compares the pool with itself, without the row itself.

    Returns:
        (Q, K) int32 indices, ties by lower index, -1 where there are fewer than k, and
        (Q, K) float32 cosines, 0 there.

    Notes:
        O(Q N D) time and O(Q N) memory, in double precision.

    Example:
        >>> indices, _ = knn(np.array([[1, 0], [0, 1], [1, 1]], np.float32), 1)
        >>> indices.tolist()
        [[2], [2], [0]]
    """
    unit_ND = unit(vectors_ND)
    unit_QD = unit_ND if queries_QD is None else unit(queries_QD)
    sim_QN = unit_QD @ unit_ND.T
    if queries_QD is None:
        np.fill_diagonal(sim_QN, -np.inf)
    order_QN = np.argsort(-sim_QN, axis=1, kind="stable")[:, :k]
    best_QN = np.take_along_axis(sim_QN, order_QN, axis=1)
    there_QN = best_QN > -np.inf
    idx_QK = np.full((len(unit_QD), k), -1, np.int32)
    sim_QK = np.zeros((len(unit_QD), k), np.float32)
    idx_QK[:, : order_QN.shape[1]] = np.where(there_QN, order_QN, -1)
    sim_QK[:, : order_QN.shape[1]] = np.where(there_QN, best_QN, 0.0)
    return idx_QK, sim_QK


def unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Rows of length 1 in double precision; rows of zeros stay.

    Args:
        vectors: (N, D) finite.

    Returns:
        (N, D) float64.
    """
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float64] = np.zeros_like(wide)
    np.divide(wide, length, out=scaled, where=length > 0)
    return scaled
