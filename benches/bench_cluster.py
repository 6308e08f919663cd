"""Capacity-bounded clusters: lmmixup beside the paper's algorithm, vectors given.

python benches/bench_cluster.py --pool pool52k.wordllama.npy --sizes 2 5 3 1
pytest benches/bench_cluster.py --benchmark-only
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cluster_quality
import measure
from contenders import cluster, knn

NAMES = ("paper", "ours", "ours_same", "ours_drawn")


@pytest.mark.parametrize("name", NAMES)  # in this order: `ours_same` reads what `paper` wrote
def test_cluster(benchmark: Any, small_vectors: Path, name: str) -> None:
    run = getattr(cluster, name)()
    benchmark.group = "clusters of 2..5, 4,000 x 64"
    sizes = {"low": 2, "high": 5, "mean": 3, "std": 1}
    labels = benchmark.pedantic(run, args=(small_vectors,), kwargs=sizes, rounds=2)
    counts = np.bincount(labels[labels >= 0])
    counts = counts[counts > 0]
    assert counts.min() >= 2
    assert counts.max() <= 5


def main() -> None:
    """Run the rounds, judge the clusters, write the results."""
    parser = argparse.ArgumentParser(description="Clusters beside the paper's algorithm.")
    parser.add_argument("--pool", type=Path, required=True, help="vectors, .npy")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--first", type=int, help="only so many vectors")
    parser.add_argument("--name")
    parser.add_argument(
        "--sizes", nargs=4, type=int, default=[2, 5, 3, 1], metavar=("MIN", "MAX", "MEAN", "STD")
    )
    args = parser.parse_args()
    low, high, mean, std = args.sizes
    vectors = np.load(args.pool)[: args.first]
    source = args.pool
    if args.first:
        source = args.pool.with_suffix(f".{args.first}.npy")
        np.save(source, vectors)
    options = {"low": low, "high": high, "mean": mean, "std": std}
    runs = measure.run_rounds("contenders.cluster", args.only, source, args.repeat, **options)
    nearest = knn.nearest(vectors, np.arange(len(vectors)), 8)
    rows = []
    for one in runs.values():
        assert one.result is not None
        judged = cluster_quality.judge(vectors, one.result, nearest, low, high)
        rows.append(one.summary(runs.get("ours")) | judged)
    title = f"Clusters of {low}..{high} records (mean {mean}, std {std}), {len(vectors)} vectors"
    name = args.name or f"cluster_{len(vectors)}_{low}_{high}"
    measure.save(name, title, source, rows, repeat=args.repeat, sizes=args.sizes)


if __name__ == "__main__":
    main()
