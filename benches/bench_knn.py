"""Neighbour graphs: lmmixup beside faiss flat and NumPy, vectors given.

python benches/bench_knn.py --pool pool52k.wordllama.npy --repeat 5
pytest benches/bench_knn.py --benchmark-only
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import measure
from contenders import knn

if TYPE_CHECKING:
    from pathlib import Path

NAMES = (
    "ours_exact",
    "faiss_flat",
    "ours_blocks",
    "ours_usearch",
    "usearch",
    "numpy_blocked",
)
APPROXIMATE = ("ours_blocks", "ours_usearch", "usearch")
K = 32
SAMPLE = 1000


@pytest.mark.parametrize("name", NAMES)
def test_knn(benchmark: Any, small_vectors: Path, name: str) -> None:
    run = getattr(knn, name)()
    benchmark.group = "32 neighbours, 4,000 x 64"
    found = benchmark.pedantic(run, args=(small_vectors,), kwargs={"k": K}, rounds=3)
    assert recall(np.load(small_vectors), found, 10) >= (0.8 if name in APPROXIMATE else 0.999)


def recall(vectors: np.ndarray, found: np.ndarray, k: int) -> float:
    """Share of found neighbours as near as the k-th true one, on drawn rows (ties count)."""
    rows = np.random.default_rng(5).choice(len(vectors), min(SAMPLE, len(vectors)), replace=False)
    last = knn.nearest(vectors, rows, k)[:, -1]
    bound = np.einsum("nd,nd->n", vectors[rows], vectors[last])[:, None]
    similar = np.einsum("nd,nkd->nk", vectors[rows], vectors[found[rows, :k]])
    return float(np.mean((similar >= bound - 1e-5) & (found[rows, :k] >= 0)))


def main() -> None:
    """Run the rounds, judge the neighbours, write the results."""
    options = measure.parser("Neighbours beside the peers.", NAMES, default=NAMES[:3])
    args = options.parse_args()
    vectors = np.load(args.pool)

    def judged(found: np.ndarray, seconds: float) -> dict[str, Any]:
        rate = {"vectors_per_s": round(len(vectors) / seconds)}
        return rate | {f"recall@{k}": round(recall(vectors, found, k), 5) for k in (10, K)}

    runs = measure.run_rounds("contenders.knn", args.only, args.pool, args.repeat, k=K)
    rows = measure.rows_of(runs, "ours_exact", judged)
    title = f"{K} neighbours of every one of {len(vectors)} x {vectors.shape[1]} vectors"
    name = args.name or f"knn_{len(vectors)}"
    measure.save(name, title, args.pool, rows, repeat=args.repeat)


if __name__ == "__main__":
    main()
