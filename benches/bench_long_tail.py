"""Long-tail scores: lmmixup beside scikit-learn, vectors given.

lmmixup embed ../shared/data/pools/*.parquet -o benches/data/embedded --sample 100000 --dim 384
python benches/bench_long_tail.py --pool benches/data/embedded/vectors.npy --repeat 3
pytest benches/bench_long_tail.py --benchmark-only
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import measure
from bench_knn import recall
from contenders import long_tail

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("ours_exact", "sklearn", "ours_blocks")
K = 15


@pytest.mark.parametrize("name", NAMES)
def test_long_tail(benchmark: Any, small_vectors: Path, name: str) -> None:
    run = getattr(long_tail, name)()
    benchmark.group = "long tail of 4,000 x 64"
    scores = benchmark.pedantic(run, args=(small_vectors,), rounds=3)
    exact = long_tail.ours_exact()(small_vectors)
    limit = 0.02 if "blocks" in name else 1e-5
    assert np.abs(scores - exact).mean() < limit


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, of scores without many ties."""
    ranks = [np.argsort(np.argsort(scores, kind="stable"), kind="stable") for scores in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def main() -> None:
    """Run the rounds, compare the scores, write the results."""
    args = measure.parser("Long-tail scores beside scikit-learn.", NAMES).parse_args()
    runs = measure.run_rounds("contenders.long_tail", args.only, args.pool, args.repeat, k=K)
    vectors = np.load(args.pool)
    truth = runs["sklearn"]
    assert truth.result is not None
    rows = []
    for one in runs.values():
        assert one.result is not None
        row = one.summary(runs.get("ours_exact"))
        for name in ("seconds", "cpu_seconds"):
            pairs = zip(getattr(truth, name), getattr(one, name), strict=True)
            row[f"sklearn_by_this_{name}"] = round(float(np.median([a / b for a, b in pairs])), 2)
        row["largest_difference"] = float(np.abs(one.result - truth.result).max())
        row["rank_correlation"] = round(rank_correlation(one.result, truth.result), 5)
        if one.name == "ours_blocks":
            row[f"recall@{K}"] = round(recall(vectors, _neighbours(vectors), K), 5)
        rows.append(row)
    title = f"Long tail (k = {K}) of {len(vectors)} x {vectors.shape[1]} vectors"
    measure.save(
        args.name or f"long_tail_{len(vectors)}", title, args.pool, rows, repeat=args.repeat
    )


def _neighbours(vectors: np.ndarray) -> np.ndarray:
    from lmmixup import ops

    return ops.knn(vectors, K, method="blocks", num_threads=measure.NUM_THREADS).idx_QK


if __name__ == "__main__":
    main()
