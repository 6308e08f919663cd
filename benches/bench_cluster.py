"""Capacity-bounded clusters: lmmixup beside the paper's algorithm, vectors given.

python benches/bench_cluster.py --pool pool52k.wordllama.npy --sizes 2 5 3 1
pytest benches/bench_cluster.py --benchmark-only
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import cluster_quality
import measure
from contenders import cluster, knn

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("paper", "ours", "ours_same", "ours_drawn")


@pytest.mark.parametrize("name", NAMES)  # in this order: `ours_same` reads what `paper` wrote
def test_cluster(benchmark: Any, small_vectors: Path, name: str) -> None:
    run = getattr(cluster, name)()
    benchmark.group = "clusters of 2..5, 4,000 x 64"
    sizes = {"low": 2, "high": 5, "mean": 3, "std": 1}
    rounds = 1 if name == "paper" else 3
    labels = benchmark.pedantic(run, args=(small_vectors,), kwargs=sizes, rounds=rounds)
    counts = np.bincount(labels[labels >= 0])
    counts = counts[counts > 0]
    assert counts.min() >= 2
    assert counts.max() <= 5


def main() -> None:
    """Run the rounds, judge the clusters, write the results."""
    parser = measure.parser("Clusters beside the paper's algorithm.", NAMES, repeat=1)
    parser.add_argument("--first", type=int, help="only so many vectors")
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
    nearest = knn.nearest(vectors, np.arange(len(vectors)), 8)

    def judged(labels: np.ndarray, _: float) -> dict[str, Any]:
        return cluster_quality.judge(vectors, labels, nearest, low, high)

    options = {"low": low, "high": high, "mean": mean, "std": std}
    runs = measure.run_rounds("contenders.cluster", args.only, source, args.repeat, **options)
    rows = measure.rows_of(runs, "ours", judged)
    title = f"Clusters of {low}..{high} records (mean {mean}, std {std}), {len(vectors)} vectors"
    name = args.name or f"cluster_{len(vectors)}_{low}_{high}"
    measure.save(name, title, source, rows, repeat=args.repeat, sizes=args.sizes)


if __name__ == "__main__":
    main()
