"""Semantic duplicates: lmmixup beside semhash, vectors given.

python benches/bench_semantic.py --pool pool52k.wordllama.npy --repeat 3
pytest benches/bench_semantic.py --benchmark-only
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import measure
from contenders import semantic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("ours", "semhash", "ours_blocks", "semhash_exact")
THRESHOLD = 0.9
BLOCK = 1024
ROUNDING = 1e-6
"""Within which single precision may put a cosine on either side of the threshold."""


@pytest.mark.parametrize("name", NAMES)
def test_semantic(benchmark: Any, small_vectors: Path, name: str) -> None:
    run = getattr(semantic, name)()
    benchmark.group = "semantic dedup, 4,000 x 64"
    found = benchmark.pedantic(run, args=(small_vectors, 0.8), rounds=3)
    judged = judge(np.load(small_vectors), found, 0.8)
    assert judged["false_drops"] == 0
    assert judged["pairs_both_kept"] <= (0 if name == "ours" else 0.1 * judged["pairs"])


def pairs(vectors: np.ndarray, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs (a > b) at the threshold by blocks of the matrix of cosines."""
    for start in range(0, len(vectors), BLOCK):
        cosine = vectors[start : start + BLOCK] @ vectors[: start + BLOCK].T
        rows, columns = np.nonzero(cosine >= threshold)
        rows += start
        yield rows[rows > columns], columns[rows > columns]


def judge(vectors: np.ndarray, found: np.ndarray, threshold: float) -> dict[str, Any]:
    """What brute force says of who was kept.

    * `pairs_both_kept`: pairs at the threshold of which neither record was dropped;
    * `missed`: these as a share of the pairs that have a kept record at all;
    * `false_drops`: dropped records with no kept record at the threshold;
    * `wrongly_named`: dropped ones whose partner is dropped too or below the threshold.
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    kept = found[0] == 1
    num_pairs = both = with_kept = 0
    covered = kept.copy()
    for rows, columns in pairs(vectors, threshold - ROUNDING):
        covered[rows[kept[columns]]] = True
        covered[columns[kept[rows]]] = True
    for rows, columns in pairs(vectors, threshold + ROUNDING):
        num_pairs += len(rows)
        both += int((kept[rows] & kept[columns]).sum())
        with_kept += int((kept[rows] | kept[columns]).sum())
    dropped = np.flatnonzero(~kept)
    partner = found[1, dropped].astype(np.int64)
    named = np.einsum("nd,nd->n", vectors[dropped], vectors[partner])
    return {
        "dropped": len(dropped),
        "pairs": num_pairs,
        "pairs_both_kept": both,
        "missed": round(both / max(with_kept, 1), 6),
        "false_drops": int((~covered).sum()),
        "wrongly_named": int((~kept[partner] | (named < threshold - ROUNDING)).sum()),
    }


def main() -> None:
    """Run the rounds, judge who was kept, write the results."""
    args = measure.parser("Semantic dedup beside semhash.", NAMES).parse_args()
    runs = measure.run_rounds(
        "contenders.semantic", args.only, args.pool, args.repeat, threshold=THRESHOLD
    )
    vectors = np.load(args.pool)
    rows = []
    for one in runs.values():
        assert one.result is not None
        row = one.summary(runs.get("ours"))
        row["vectors_per_s"] = round(len(vectors) / row["seconds"])
        rows.append(row | judge(vectors, one.result, THRESHOLD))
    shape = f"{len(vectors)} x {vectors.shape[1]}"
    title = f"Semantic dedup of {shape} vectors of {args.pool.stem}, cosine >= {THRESHOLD}"
    name = args.name or f"semantic_{args.pool.stem}"
    measure.save(name, title, args.pool, rows, repeat=args.repeat)


if __name__ == "__main__":
    main()
