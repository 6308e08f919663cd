"""Compare ids with Hugging Face `tokenizers` on every text of every pool.

python benches/identity.py --data ../shared/data --tokenizers benches/data/tokenizers
python benches/identity.py --data ../shared/data --tokenizers benches/data/tokenizers --newer

Without `--newer` the peer is the installed `tokenizers` (0.23, the slow reference) on one text in
`--every`; with it, version 1.0 out of `data/tokenizers-1.0`, on every text. Writes
results/identity_VERSION.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

import measure
from contenders import tokenize
from lmmixup.tokenize import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = ["instruction", "input", "output"]
BATCH = 4096
MAX_SHOWN = 5


def read_texts(data: Path, every: int) -> Iterator[list[str]]:
    """Texts of all pools that are not empty, some thousands at a time."""
    for path in sorted((data / "pools").glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=COLUMNS):
            texts = [text for column in batch.columns for text in column.to_pylist()[::every]]
            yield [text for text in texts if text]


def differences(ours: Tokenizer, peer: Any, texts: list[str]) -> list[dict[str, Any]]:
    """Texts whose ids are not the same."""
    ids, offsets = ours.encode_batch(texts, num_threads=1)
    theirs, places = tokenize.encodings_flat(tokenize.hf_batch(peer)(texts))
    if np.array_equal(ids, theirs) and np.array_equal(offsets, places):
        return []
    rows = range(len(texts))
    mine = (ids[offsets[row] : offsets[row + 1]].tolist() for row in rows)
    other = (theirs[places[row] : places[row + 1]].tolist() for row in rows)
    pairs = zip(texts, mine, other, strict=True)
    return [{"text": text, "ours": a, "theirs": b} for text, a, b in pairs if a != b]


def compare(folder: Path, data: Path, every: int) -> dict[str, Any]:
    """All texts through one tokenizer."""
    ours, peer = Tokenizer(folder), tokenize.hf_tokenizer(str(folder))
    row: dict[str, Any] = {"name": folder.name, "path": ours.path, "texts": 0, "mb": 0.0}
    wrong: list[dict[str, Any]] = []
    start = time.perf_counter()
    for texts in read_texts(data, every):
        row["texts"] += len(texts)
        row["mb"] += sum(len(text.encode()) for text in texts) / 1e6
        wrong.extend(differences(ours, peer, texts))
    row |= {"mb": round(row["mb"], 1), "different": len(wrong)}
    row["seconds"] = round(time.perf_counter() - start, 1)
    for one in wrong[:MAX_SHOWN]:
        print(json.dumps(one, ensure_ascii=False)[:1000])
    return row


def main() -> None:
    """Compare, write the results."""
    options = argparse.ArgumentParser(description="Compare ids with Hugging Face tokenizers.")
    options.add_argument("--data", type=Path, required=True, help="folder of the real data sets")
    options.add_argument("--tokenizers", type=Path, required=True, help="a folder for each one")
    options.add_argument("--only", nargs="+", help="some of the folders")
    options.add_argument("--newer", action="store_true", help="compare with tokenizers 1.0")
    options.add_argument("--every", type=int, default=1, help="compare one text in so many")
    args = options.parse_args()
    if args.newer:
        tokenize.use_newer_tokenizers()
    import tokenizers

    folders = sorted(path.parent for path in args.tokenizers.glob("*/tokenizer.json"))
    folders = [folder for folder in folders if not args.only or folder.name in args.only]
    rows = [compare(folder, args.data, args.every) for folder in folders]
    title = f"Ids beside tokenizers {tokenizers.__version__}, one text in {args.every}"
    measure.NUM_THREADS = 1
    measure.save(f"identity_{tokenizers.__version__}", title, args.data / "pools", rows, repeat=1)


if __name__ == "__main__":
    main()
