"""Near-duplicates: lmmixup beside gaoya, rensa and datasketch, from JSONL file to families.

python benches/bench_dedup.py --pool pool52k.jsonl --repeat 5
pytest benches/bench_dedup.py --benchmark-only
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import measure
import truth
from contenders import dedup

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("ours", "gaoya", "rensa_verified", "rensa", "datasketch", "ours_minhash")
THRESHOLD = 0.7


@pytest.mark.parametrize("name", NAMES)
def test_near_dedup(benchmark: Any, small_pool: Path, name: str) -> None:
    run = getattr(dedup, name)()
    benchmark.group = "near-dedup, 5,000 records"
    labels = families_of(benchmark.pedantic(run, args=(small_pool,), rounds=3))
    exact = truth.brute_force(truth.read_texts(small_pool)).at(0.9)
    assert truth.recall(labels, exact) >= (1.0 if name == "ours" else 0.95)


def families_of(result: np.ndarray) -> np.ndarray:
    """Family labels: all that peers return, the first of the rows that we return."""
    return result[0].astype(np.int64) if result.ndim == 2 else result


def judge(result: np.ndarray, exact: truth.Truth | None, path: Path) -> dict[str, Any]:
    """Families, recall at three thresholds, false drops; of us, every named partner recounted."""
    labels = families_of(result)
    dropped = truth.drop_all_but_first(labels) if result.ndim == 1 else result[1] == 0
    out: dict[str, Any] = {"families": len(np.unique(labels)), "dropped": int(dropped.sum())}
    if exact is not None:
        drops = truth.false_drops(dropped, exact.at(THRESHOLD))
        for t in (0.7, 0.8, 0.9):
            out[f"recall@{t}"] = round(truth.recall(labels, exact.at(t)), 4)
        out["dropped_of_sample"] = drops.dropped
        out["false_drop_no_kept"] = round(drops.no_kept / max(drops.dropped, 1), 4)
        out["false_drop_no_partner"] = round(drops.no_partner / max(drops.dropped, 1), 4)
    if result.ndim == 2:
        rows = np.flatnonzero(dropped)
        texts = list(truth.read_texts(path))
        kept = result[2].astype(np.int64)
        out["wrongly_named"] = truth.check_named(
            texts, rows, kept[rows], result[3][rows], t=THRESHOLD
        )
    return out


def main() -> None:
    """Run the rounds, judge the families, write the results."""
    args = measure.parser("Near-dedup beside the peers.", NAMES).parse_args()
    path = args.pool.with_suffix(".truth.parquet")
    exact = truth.Truth.read(path) if path.exists() else None

    def judged(result: np.ndarray, seconds: float) -> dict[str, Any]:
        rate = {"records_per_s": round(result.shape[-1] / seconds)}
        return rate | judge(result, exact, args.pool)

    runs = measure.run_rounds("contenders.dedup", args.only, args.pool, args.repeat)
    rows = measure.rows_of(runs, "ours", judged)
    title = f"Near-dedup of {args.pool.name}, word 5-grams, J >= {THRESHOLD}, JSONL to families"
    name = args.name or f"dedup_{args.pool.stem}"
    measure.save(name, title, args.pool, rows, repeat=args.repeat)


if __name__ == "__main__":
    main()
