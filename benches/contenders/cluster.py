"""Clustering contenders: an .npy file of L2-normalised float32 vectors in, cluster labels out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., np.ndarray]

BLOCK = 512


def ours() -> Run:
    """Lmmixup's graph method; only the bounds bind, N / mean clusters."""
    from lmmixup.cluster import cluster_vectors

    def run(path: Path, *, low: int, high: int, mean: float, std: float) -> np.ndarray:
        vectors = np.load(path)
        bounds = {"min_size": low, "max_size": high, "mean_size": mean, "std_size": std}
        return cluster_vectors(vectors, method="graph", **bounds, seed=7, num_threads=2)

    return run


def ours_drawn() -> Run:
    """The same with the paper's rule for sizes: drawn from the normal distribution."""
    from lmmixup.cluster import cluster_vectors

    def run(path: Path, *, low: int, high: int, mean: float, std: float) -> np.ndarray:
        vectors = np.load(path)
        bounds = {"min_size": low, "max_size": high, "mean_size": mean, "std_size": std}
        return cluster_vectors(
            vectors, method="graph", sizes="drawn", **bounds, seed=7, num_threads=2
        )

    return run


def paper() -> Run:
    """The paper's algorithm, written from its description, with its quadratic step in blocks.

    Capacities from N(mean, std) until they sum to N, a mini-batch k-means centre for each, records
    in the order of their best similarity take the nearest centre with room, clusters under the
    minimum are dissolved (label -1).
    """
    from sklearn.cluster import MiniBatchKMeans

    def run(path: Path, *, low: int, high: int, mean: float, std: float) -> np.ndarray:
        vectors = np.load(path)
        room = draw_capacities(len(vectors), low=low, high=high, mean=mean, std=std)
        means = MiniBatchKMeans(n_clusters=len(room), random_state=7).fit(vectors)
        centres = means.cluster_centers_
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
        labels = fill(vectors, centres.astype(np.float32), room)
        sizes = np.bincount(labels, minlength=len(room))
        return np.where(sizes[labels] < low, -1, labels)

    return run


def draw_capacities(num: int, *, low: int, high: int, mean: float, std: float) -> np.ndarray:
    """Rounded normal draws clipped to the bounds; the last one is what is left."""
    rng = np.random.default_rng(7)
    drawn = np.clip(np.rint(rng.normal(mean, std, num)), low, high).astype(np.int64)
    last = int(np.searchsorted(np.cumsum(drawn), num))
    drawn = drawn[: last + 1]
    drawn[-1] -= drawn.sum() - num
    return drawn


def fill(vectors: np.ndarray, centres: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Greedy assignment: the surest records first, each to the nearest centre with room."""
    starts = range(0, len(vectors), BLOCK)
    best = np.concatenate([(vectors[at : at + BLOCK] @ centres.T).max(axis=1) for at in starts])
    order = np.argsort(-best, kind="stable")
    labels = np.empty(len(vectors), dtype=np.int64)
    room = room.copy()
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        similar = vectors[rows] @ centres.T
        similar[:, room == 0] = -np.inf
        for at, row in enumerate(rows.tolist()):
            label = int(similar[at].argmax())
            labels[row] = label
            room[label] -= 1
            if not room[label]:
                similar[:, label] = -np.inf
    return labels
