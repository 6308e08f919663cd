"""Embedders: lmmixup beside the wordllama package, from JSONL file to vectors.

python benches/bench_embed.py --pool pool52k.jsonl --vectors pool52k.wordllama.npy
pytest benches/bench_embed.py --benchmark-only
"""

from __future__ import annotations

import argparse
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
    parser = argparse.ArgumentParser(description="Embedders beside wordllama.")
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--vectors", type=Path, help="keep wordllama's vectors as this .npy")
    args = parser.parse_args()
    runs = measure.run_rounds("contenders.embed", args.only, args.pool, args.repeat)
    theirs = runs["wordllama"].result if "wordllama" in runs else None
    rows = []
    for one in runs.values():
        assert one.result is not None
        row = one.summary(runs.get("ours_static"))
        row["records_per_s"] = round(len(one.result) / row["seconds"])
        if theirs is not None and one.name == "ours_static":
            row["largest_difference"] = float(np.abs(one.result - theirs).max())
        rows.append(row)
    if args.vectors and theirs is not None:
        np.save(args.vectors, theirs.astype(np.float32))
    title = f"Embedding {args.pool.name}, JSONL to vectors"
    measure.save(f"embed_{args.pool.stem}", title, args.pool, rows, repeat=args.repeat)


if __name__ == "__main__":
    main()
