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
    return _ours("bounds")


def ours_drawn() -> Run:
    """The same with sizes drawn from the normal distribution."""
    return _ours("drawn")


def _ours(sizes: str) -> Run:
    from lmmixup.cluster import ClusterConfig, cluster_vectors

    def run(path: Path, *, low: int, high: int, mean: float, std: float) -> np.ndarray:
        bounds = {"min": low, "max": high, "mean": mean, "std": std}
        config = ClusterConfig(method="graph", sizes=sizes, seed=7, **bounds)
        return cluster_vectors(np.load(path), config, num_threads=2).labels

    return run


def ours_same() -> Run:
    """Lmmixup with the paper's own sizes on the very records that the paper clustered.

    Reads what `paper` left beside the vectors, which must have run before.
    """
    from lmmixup import ops

    def run(
        path: Path,
        *,
        low: int,
        high: int,
        mean: float,
        std: float,  # noqa: ARG001 the sizes are given
    ) -> np.ndarray:
        vectors, theirs = np.load(path), np.load(path.with_suffix(".paper.npy"))
        inside = np.flatnonzero(theirs >= 0)
        sizes = np.bincount(theirs[inside])
        mine = np.ascontiguousarray(vectors[inside])
        found = ops.knn(mine, k=32, num_threads=2)
        labels = np.full(len(vectors), -1, dtype=np.int64)
        labels[inside] = ops.cluster_graph(
            mine,
            found.idx_QK,
            found.sim_QK,
            bounds=(low, high),
            mean=mean,
            sizes=sizes[sizes > 0].astype(np.uint32),
            seed=7,
            num_threads=2,
        )[0]
        return labels

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
        labels = np.where(sizes[labels] < low, -1, labels)
        np.save(path.with_suffix(".paper.npy"), labels)
        return labels

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
