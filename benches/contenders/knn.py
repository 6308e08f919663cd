"""Neighbour contenders: an .npy file of L2-normalised float32 vectors in, indices (N, K) out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., np.ndarray]


def ours_exact() -> Run:
    """lmmixup, exact."""
    return _ours("exact")


def ours_blocks() -> Run:
    """lmmixup, coarse cells with overlap."""
    return _ours("blocks")


def ours_usearch() -> Run:
    """lmmixup, a graph that is built and then asked for every row."""
    return _ours("usearch")


def usearch() -> Run:
    """The usearch package with the same parameters."""
    from usearch.index import Index

    def run(path: Path, k: int = 32) -> np.ndarray:
        vectors = np.load(path)
        index = Index(
            ndim=vectors.shape[1],
            metric="cos",
            dtype="f32",
            connectivity=16,
            expansion_add=128,
            expansion_search=128,
        )
        index.add(np.arange(len(vectors)), vectors, threads=2)
        found = index.search(vectors, k + 1, threads=2).keys.astype(np.int64)
        return drop_self(found, k)

    return run


def _ours(method: str) -> Run:
    from lmmixup import ops

    def run(path: Path, k: int = 32) -> np.ndarray:
        return ops.knn(np.load(path), k=k, method=method, num_threads=2).idx_QK

    return run


def faiss_flat() -> Run:
    """Faiss IndexFlatIP, its exact search."""
    import faiss

    def run(path: Path, k: int = 32) -> np.ndarray:
        faiss.omp_set_num_threads(2)
        vectors = np.load(path)
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        found = index.search(vectors, k + 1)[1]
        return drop_self(found, k)

    return run


def numpy_blocked() -> Run:
    """NumPy: blocks of the similarity matrix, argpartition."""

    def run(path: Path, k: int = 32) -> np.ndarray:
        vectors = np.load(path)
        return nearest(vectors, np.arange(len(vectors)), k)

    return run


def nearest(vectors: np.ndarray, rows: np.ndarray, k: int, block: int = 512) -> np.ndarray:
    """The exact neighbours of some rows in plain NumPy, best first: (len(rows), k)."""
    found = []
    for start in range(0, len(rows), block):
        some = rows[start : start + block]
        similar = vectors[some] @ vectors.T
        similar[np.arange(len(some)), some] = -np.inf
        top = np.argpartition(-similar, k, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(similar, top, axis=1), axis=1, kind="stable")
        found.append(np.take_along_axis(top, order, axis=1))
    return np.concatenate(found)


def drop_self(found: np.ndarray, k: int) -> np.ndarray:
    """Take a row itself out of its neighbours; where copies pushed it out, the last one."""
    other = found != np.arange(len(found))[:, None]
    other[other.all(axis=1), -1] = False
    return found[other].reshape(len(found), k)
