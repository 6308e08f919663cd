"""Make the chats that `bench_tokenize.py` reads, from all pools: same data, same bytes.

python benches/chats.py --data ../shared/data --out benches/data

`chats_mixed.jsonl` has every record of every pool once; `chats_short.jsonl` has those of up to
700 bytes, three times over (a table of words knows a word the second time it comes: within one
pass of so much text nearly all of them have come before anyway).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT_BYTES = 700
SHORT_COPIES = 3
SEED = 7


def read_chats(data: Path) -> Iterator[bytes]:
    """Every usable record of the pools as a line of JSON with `messages`."""
    for path in sorted((data / "pools").glob("*.parquet")):
        columns = ["instruction", "input", "output"]
        for batch in pq.ParquetFile(path).iter_batches(columns=columns):
            for row in batch.to_pylist():
                prompt = "\n".join(filter(None, (row["instruction"], row["input"])))
                turns = [
                    {"role": "user", "content": prompt},
                    {"role": "assistant", "content": row["output"]},
                ]
                if prompt and row["output"]:
                    yield orjson.dumps({"messages": turns}, option=orjson.OPT_APPEND_NEWLINE)


def write_shuffled(lines: list[bytes], path: Path) -> None:
    """Writes lines in a drawn order, so that sources mix."""
    order = np.random.default_rng(SEED).permutation(len(lines))
    with path.open("wb") as file:
        file.writelines(lines[at] for at in order)
    print(f"{path}: {len(lines):,} records, {path.stat().st_size / 1e6:.0f} MB")


def main() -> None:
    """Write both files."""
    options = argparse.ArgumentParser(description="Make the chats of bench_tokenize.py.")
    options.add_argument("--data", type=Path, required=True, help="folder of the real data sets")
    options.add_argument("--out", type=Path, required=True, help="folder to write to")
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    lines = list(read_chats(args.data))
    write_shuffled(lines, args.out / "chats_mixed.jsonl")
    short = [line for line in lines if len(line) <= SHORT_BYTES]
    write_shuffled(short * SHORT_COPIES, args.out / "chats_short.jsonl")


if __name__ == "__main__":
    main()
