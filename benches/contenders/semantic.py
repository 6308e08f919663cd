"""Semantic dedup contenders: an .npy file of vectors in; kept, partner, similarity (3, N) out.

Record i has the text `i`, so that only vectors decide; all take records in the order of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., np.ndarray]


def ours() -> Run:
    """lmmixup, all pairs."""
    return _ours("exact")


def ours_blocks() -> Run:
    """lmmixup, pairs that share a coarse cell."""
    return _ours("blocks")


def _ours(method: str) -> Run:
    import pyarrow as pa

    from lmmixup import ops

    def run(path: Path, threshold: float = 0.9) -> np.ndarray:
        vectors = np.load(path)
        names = pa.array(np.arange(len(vectors))).cast(pa.string())
        batch = pa.record_batch({"id": names, "prompt": names, "completion": names})
        found = ops.semantic_families(
            [batch],
            vectors,
            threshold=threshold,
            method=method,
            rule=ops.KeepRule(longest=False),
            num_threads=2,
        )
        return np.stack([found.kept, found.partner, found.similarity]).astype(np.float64)

    return run


def semhash() -> Run:
    """Semhash with its default index, usearch."""
    return _semhash("usearch")


def semhash_exact() -> Run:
    """Semhash with the index that compares everything."""
    return _semhash("basic")


def _semhash(backend: str) -> Run:
    from semhash import SemHash

    def run(path: Path, threshold: float = 0.9) -> np.ndarray:
        vectors = np.load(path)
        texts = list(map(str, range(len(vectors))))
        # The model would only be asked for records that come later.
        hashes = SemHash.from_embeddings(vectors, texts, model=None, ann_backend=backend)
        out = np.full((3, len(vectors)), -1.0)
        out[0] = 1
        for dropped in hashes.self_deduplicate(threshold).filtered:
            out[:, int(dropped.record)] = 0, int(dropped.duplicate_of), dropped.score
        return out

    return run
