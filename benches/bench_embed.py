"""Embedders: lmmixup beside the wordllama package, from JSONL file to vectors.

python benches/bench_embed.py --pool pool52k.jsonl --vectors pool52k.wordllama.npy
pytest benches/bench_embed.py --benchmark-only
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import measure
from contenders import embed

NAMES = ("ours_static", "wordllama", "ours_lexical")


@pytest.mark.parametrize("name", NAMES)
def test_embed(benchmark: Any, small_pool: Path, name: str) -> None:
    run = getattr(embed, name)()
    benchmark.group = "embed 5,000 records"
    vectors = benchmark.pedantic(run, args=(small_pool,), rounds=2)
    norms = np.linalg.norm(vectors, axis=1)
    assert np.all((np.abs(norms - 1) < 1e-3) | (norms == 0))


def main() -> None:
    """Run the rounds, compare the vectors, write the results."""
    parser = measure.parser("Embedders beside wordllama.", NAMES, repeat=1)
    parser.add_argument("--vectors", type=Path, help="keep wordllama's vectors as this .npy")
    args = parser.parse_args()
    runs = measure.run_rounds("contenders.embed", args.only, args.pool, args.repeat)
    theirs = runs["wordllama"].result if "wordllama" in runs else None

    def judged(vectors: np.ndarray, seconds: float) -> dict[str, Any]:
        row: dict[str, Any] = {"records_per_s": round(len(vectors) / seconds)}
        if theirs is not None and "ours_static" in runs and vectors is runs["ours_static"].result:
            row["largest_difference"] = float(np.abs(vectors - theirs).max())
        return row

    rows = measure.rows_of(runs, "ours_static", judged)
    if args.vectors and theirs is not None:
        np.save(args.vectors, theirs.astype(np.float32))
    title = f"Embedding {args.pool.name}, JSONL to vectors"
    name = args.name or f"embed_{args.pool.stem}"
    measure.save(name, title, args.pool, rows, repeat=args.repeat)


if __name__ == "__main__":
    main()
