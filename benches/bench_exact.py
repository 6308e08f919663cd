"""Exact duplicates: lmmixup beside polars and orjson + xxhash, from JSONL file to families.

python benches/bench_exact.py --pool pool1m.jsonl --repeat 5
pytest benches/bench_exact.py --benchmark-only
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import measure
import truth
from contenders import exact

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

FAMILIES = ("ours", "polars", "polars_eager", "orjson_xxhash", "python_set")
NAMES = (*FAMILIES, "read_and_hash")


@pytest.mark.parametrize("name", FAMILIES)
def test_exact_dedup(benchmark: Any, small_pool: Path, name: str) -> None:
    run = getattr(exact, name)()
    benchmark.group = "exact dedup, 5,000 records"
    labels = benchmark.pedantic(run, args=(small_pool,), rounds=5)
    texts = list(truth.read_texts(small_pool))
    assert len(set(labels.tolist())) == len(set(texts))


def main() -> None:
    """Run the rounds and write the results."""
    args = measure.parser("Exact dedup beside the peers.", NAMES).parse_args()
    num_texts = len(set(map(hash, truth.read_texts(args.pool))))

    def judged(labels: np.ndarray, seconds: float) -> dict[str, Any]:
        return {
            "mb_per_s": round(args.pool.stat().st_size / 1e6 / seconds),
            "families": len(set(labels.tolist())),
            "families_true": num_texts,
        }

    runs = measure.run_rounds("contenders.exact", args.only, args.pool, args.repeat)
    rows = measure.rows_of(runs, "ours", judged)
    title = f"Exact dedup of {args.pool.name}, raw text, JSONL to families"
    name = args.name or f"exact_{args.pool.stem}"
    measure.save(name, title, args.pool, rows, repeat=args.repeat)


if __name__ == "__main__":
    main()
