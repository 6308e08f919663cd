"""`lmmixup library build` of real rated records: seconds and memory by embedder.

python benches/bench_library.py --pool ratings_alpaca_ds2.parquet
pytest benches/bench_library.py --benchmark-only
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import measure
from contenders import library

NAMES = ("lexical", "wordllama")
RATING = "rating_gpt_4o_mini"
SEED = 3


def test_library(benchmark: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(300)])
    rows = [
        {"prompt": " ".join(rng.choice(words, 8)), "completion": " ".join(rng.choice(words, 30)),
         RATING: int(rng.integers(6))}
        for _ in range(1000)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rated.parquet")
    benchmark.group = "library of 1,000 records, lexical"
    options = {"args": (tmp_path / "rated.parquet",), "kwargs": {"rating": RATING}}
    weights = benchmark.pedantic(library.lexical(), rounds=2, **options)
    assert np.isfinite(weights).all()


def write_part(pool: Path, path: Path) -> int:
    """The 80 % of the records on which the figures of docs/knn_bayes.md are fitted."""
    table = pq.read_table(pool)
    order = np.random.default_rng(SEED).permutation(len(table))
    part = np.sort(order[len(table) // 5 :])
    pq.write_table(table.take(part), path)
    return len(part)


def main() -> None:
    """Build once for each embedder, write the results."""
    args = measure.parser("Building a library.", NAMES, repeat=1).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "rated.parquet"
        size = write_part(args.pool, part)
        options = {"rating": RATING}
        runs = measure.run_rounds("contenders.library", args.only, part, args.repeat, **options)

    def judged(weights: np.ndarray, seconds: float) -> dict[str, Any]:
        return {"records_per_s": round(size / seconds), "head_weights": len(weights)}

    rows = measure.rows_of(runs, "lexical", judged)
    title = f"Library of {size:,} rated records, Parquet to result folder"
    measure.save(args.name or f"library_{size}", title, args.pool, rows, repeat=args.repeat)


if __name__ == "__main__":
    main()
