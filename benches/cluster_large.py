"""A million vectors into clusters of 2..5: time, memory, recall of the neighbours, quality.

The paper's algorithm has no row here: on this many it would take days.

    python benches/cluster_large.py --vectors pool1m.wordllama.npy
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import measure
from contenders import knn

SAMPLE = 1000


def recall_at(vectors: np.ndarray, found: np.ndarray, k: int) -> float:
    """Share of the first k found that are as near as the true k-th, on drawn rows."""
    rows = np.random.default_rng(5).choice(len(vectors), SAMPLE, replace=False)
    last = knn.nearest(vectors, rows, k, block=50)[:, -1]
    bound = np.einsum("nd,nd->n", vectors[rows], vectors[last])[:, None]
    similar = np.einsum("nd,nkd->nk", vectors[rows], vectors[found[rows, :k]])
    return float(np.mean(similar >= bound - 1e-5))


def main() -> None:
    """Measure once and write the results."""
    parser = argparse.ArgumentParser(description="Clusters of a million vectors.")
    parser.add_argument("--vectors", type=Path, required=True, help=".npy, rows of length 1")
    args = parser.parse_args()
    from lmmixup import ops
    from lmmixup.cluster import ClusterConfig, cluster_vectors

    before = measure.status_mb("VmRSS")
    start = time.perf_counter()
    vectors = np.load(args.vectors)
    found = ops.knn(vectors, 32, num_threads=2)
    to_neighbours = time.perf_counter() - start
    config = ClusterConfig(min=2, max=5, mean=3, std=1, seed=7)
    clusters = cluster_vectors(vectors, config, neighbours=found, num_threads=2)
    seconds = time.perf_counter() - start
    peak = measure.status_mb("VmHWM")
    figures = clusters.figures
    row = {
        "name": args.vectors.stem,
        "seconds": round(seconds, 1),
        "seconds_to_neighbours": round(to_neighbours, 1),
        "peak_mb": round(peak - before, 1),
        "peak_total_mb": round(peak, 1),
        "recall@10": round(recall_at(vectors, found.idx_QK, 10), 4),
        "recall@32": round(recall_at(vectors, found.idx_QK, 32), 4),
        "pair_cosine": round(figures["pair_cosine"], 4),
        "junk": round(figures["junk_share"], 4),
        "nd_cover": round(figures["near_duplicates_together"], 4),
        "leftover": int((clusters.labels < 0).sum()),
    }
    title = f"{len(vectors):,} x {vectors.shape[1]} vectors into clusters of 2..5 (mean 3, std 1)"
    measure.save(f"cluster_large_{args.vectors.stem}", title, args.vectors, [row])


if __name__ == "__main__":
    main()
