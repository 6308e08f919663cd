"""KNN-Bayes: lmmixup beside scikit-learn brute force with a Python loop, vectors given.

python benches/bench_knn_bayes.py --pool vectors100k.npy --repeat 5
pytest benches/bench_knn_bayes.py --benchmark-only

The last 512 rows are the queries, the others the library. Both sides take turns in one process;
their libraries are fitted before the clock runs. `ours_once` has nothing made before.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import measure
from contenders import knn_bayes

NAMES = ("ours", "ours_once", "paper")
NUM_QUERIES = 512
CLOSE = 1e-5
"""Cosines that single precision cannot tell apart."""


@pytest.mark.parametrize("name", NAMES)
def test_knn_bayes(benchmark: Any, small_vectors: Path, name: str) -> None:
    library, queries = split(np.load(small_vectors))
    fitted = knn_bayes.fit(library)
    run = getattr(knn_bayes, name)(fitted, 2)
    benchmark.group = "512 queries, 3,488 x 64"
    found = benchmark.pedantic(run, args=(queries,), rounds=3)
    judged = judge(found, knn_bayes.paper(fitted, 2)(queries), library, queries)
    assert judged["posterior_error"] <= 1e-6
    assert judged["other_neighbours"] == 0


def split(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Library and queries."""
    return vectors[:-NUM_QUERIES].copy(), vectors[-NUM_QUERIES:].copy()


def judge(
    found: tuple[np.ndarray, np.ndarray],
    truth: tuple[np.ndarray, np.ndarray],
    library: np.ndarray,
    queries: np.ndarray,
) -> dict[str, Any]:
    """Queries with other neighbours, those of them that are ties, largest error of the rest."""
    same = (np.sort(found[1], axis=1) == np.sort(truth[1], axis=1)).all(axis=1)
    ties = 0
    for row in np.flatnonzero(~same):
        ours, theirs = (
            np.sort(library[side[1][row]].astype(np.float64) @ queries[row])
            for side in (found, truth)
        )
        ties += bool(np.abs(ours - theirs).max() < CLOSE)
    return {
        "other_neighbours": int((~same).sum()) - ties,
        "ties": ties,
        "posterior_error": float(np.abs(found[0] - truth[0])[same].max()),
    }


def main() -> None:
    """Run the rounds in turn, compare, write the results."""
    parser = argparse.ArgumentParser(description="KNN-Bayes beside scikit-learn and a loop.")
    parser.add_argument("--pool", type=Path, required=True, help="vectors, .npy")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=measure.NUM_THREADS)
    parser.add_argument("--name")
    args = parser.parse_args()
    for variable in measure.THREAD_VARIABLES:
        if os.environ.get(variable) != str(args.threads):
            raise SystemExit(f"set {variable}={args.threads}, so that both have the same")
    library, queries = split(np.load(args.pool))
    fitted = knn_bayes.fit(library)
    runs = {name: getattr(knn_bayes, name)(fitted, args.threads) for name in NAMES}
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    found = {}
    for _ in range(args.repeat):
        for name, run in runs.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            found[name] = run(queries)
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - start_cpu)
            print(f"{name}: {wall[name][-1]:.2f} s, CPU {cpu[name][-1]:.2f} s", flush=True)
    rows = []
    for name in runs:
        row: dict[str, Any] = {
            "name": name,
            "seconds": round(statistics.median(wall[name]), 3),
            "all_seconds": [round(s, 3) for s in wall[name]],
            "cpu_s": round(statistics.median(cpu[name]), 3),
        }
        for key, times in (("seconds", wall), ("cpu_s", cpu)):
            ratios = [a / b for a, b in zip(times["paper"], times[name], strict=True)]
            row[f"paper_by_this_{key}"] = round(statistics.median(ratios), 2)
        rows.append(row | judge(found[name], found["paper"], library, queries))
    title = f"KNN-Bayes, {NUM_QUERIES} queries against {len(library):,} x {library.shape[1]}"
    measure.save(
        args.name or f"knn_bayes_{len(library)}", title, args.pool, rows, repeat=args.repeat
    )


if __name__ == "__main__":
    main()
