"""Long-tail contenders: an .npy file of L2-normalised float32 vectors in, scores (N,) out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., np.ndarray]


def ours_exact() -> Run:
    """lmmixup, exact neighbours."""
    return _ours("exact")


def ours_blocks() -> Run:
    """lmmixup, neighbours from overlapping cells."""
    return _ours("blocks")


def _ours(method: str) -> Run:
    from lmmixup import ops

    def run(path: Path, k: int = 15) -> np.ndarray:
        found = ops.knn(np.load(path), k, method=method, num_threads=2)
        return 1 - found.sim_QK.mean(axis=1, dtype=np.float64)

    return run


def ours_blocks_measured() -> Run:
    """As the stage does it: seven cells a row, and its recall measured on 1,000 rows."""
    from lmmixup.select import long_tail

    def run(path: Path, k: int = 15) -> np.ndarray:
        return long_tail(np.load(path), k, method="blocks", num_threads=2).score_N

    return run


def sklearn() -> Run:
    """scikit-learn's NearestNeighbors(metric="cosine"), which is brute force."""
    from sklearn.neighbors import NearestNeighbors

    def run(path: Path, k: int = 15) -> np.ndarray:
        index = NearestNeighbors(n_neighbors=k, metric="cosine", n_jobs=2).fit(np.load(path))
        distances, _ = index.kneighbors()
        return distances.mean(axis=1, dtype=np.float64)

    return run
