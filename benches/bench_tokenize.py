"""Chats to packed ids: lmmixup beside TRL, Hugging Face and glue over the fastest tokenizers.

python benches/bench_tokenize.py --pool benches/data/chats_mixed.jsonl
python benches/bench_tokenize.py --pool benches/data/chats_mixed.jsonl --alone
pytest benches/bench_tokenize.py --benchmark-only

TRL and `datasets` take the first 20,000 records and count at that rate; their tokenizer is opened
within the clock, as everyone's is.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import measure
from contenders import tokenize
from lmmixup import _rust

if TYPE_CHECKING:
    from measure import Runs

WHOLE = ("ours", "glue_snaptokens", "glue_gigatoken", "glue_fastokens", "hf_datasets", "trl")
ALONE = ("ours", "ours_arrow", "snaptokens", "gigatoken", "fastokens", "hf_newer", "hf_older")
SAMPLED = {"trl", "hf_datasets"}
NUM_LENGTHS = 1_000_000


def test_pack(benchmark: Any) -> None:
    lengths = np.random.default_rng(7).geometric(1 / 200, NUM_LENGTHS).clip(1, 2048)
    benchmark.group = "pack 1,000,000 records"
    records, _ = benchmark(_rust.pack_best_fit, lengths.astype(np.uint32), 2048, 0)
    assert len(records) == NUM_LENGTHS


@pytest.mark.parametrize("name", ["ours"])
def test_tokenize(benchmark: Any, small_pool: Path, name: str, model_folder: Path) -> None:
    run = getattr(tokenize, name)()
    benchmark.group = "tokenize 5,000 records"
    told = benchmark.pedantic(run, args=(small_pool, str(model_folder)), rounds=2)()
    assert told[0] > told[1] > 0


def first_bytes(path: Path, count: int) -> int:
    """Bytes of the first lines of a file."""
    with path.open("rb") as file:
        return sum(len(line) for line, _ in zip(file, range(count), strict=False))


def add_rates(rows: list[dict[str, Any]], runs: dict[str, Runs], sizes: dict[str, float]) -> None:
    """Rates in MB/s, and the median over the rounds of ours by theirs."""
    for row in rows:
        name = row["name"]
        rates = [sizes[name] / seconds for seconds in runs[name].seconds]
        row["mb_per_s"] = round(statistics.median(rates), 1)
        if name in SAMPLED or name == "hf_older":
            row.pop("times_our_memory", None)
        if name != "ours" and "ours" in runs:
            ours = [sizes["ours"] / seconds for seconds in runs["ours"].seconds]
            pairs = zip(ours, rates, strict=True)
            row["times_ours"] = round(statistics.median(a / b for a, b in pairs), 2)
            pairs = zip(runs[name].cpu_seconds, runs["ours"].cpu_seconds, strict=True)
            share = sizes["ours"] / sizes[name]
            row["times_our_cpu"] = round(statistics.median(a / b * share for a, b in pairs), 2)


def whole(pool: Path, row: dict[str, Any], told: np.ndarray) -> None:
    """What an end-to-end contender made."""
    row.update(zip(("tokens", "trained", "rows", "checksum"), told.tolist(), strict=True))
    row["records"] = (
        tokenize.FIRST_RECORDS if row["name"] in SAMPLED else sum(1 for _ in pool.open("rb"))
    )


def main() -> None:
    """Run the rounds, write the results."""
    parser = measure.parser("Tokenise and pack beside the peers.", {*WHOLE, *ALONE}, default=WHOLE)
    parser.add_argument("--alone", action="store_true", help="tokenizers alone, one thread")
    parser.add_argument("--tokenizer", type=Path, help="default: tokenizers/qwen2 beside the pool")
    args = parser.parse_args()
    tokenizer = str(args.tokenizer or args.pool.parent / "tokenizers" / "qwen2")
    names = args.only if args.only != list(WHOLE) or not args.alone else list(ALONE)
    if args.alone:
        measure.NUM_THREADS = 1
    module = "contenders.encode" if args.alone else "contenders.tokenize"
    runs = measure.run_rounds(module, names, args.pool, args.repeat, tokenizer=tokenizer)
    rows = measure.rows_of(runs, "ours", lambda *_: {})
    sizes = dict.fromkeys(names, args.pool.stat().st_size / 1e6)
    if args.alone:
        from contenders.encode import FIRST_TEXTS, read_texts

        texts = read_texts(args.pool)
        sizes = dict.fromkeys(names, sum(len(text.encode()) for text in texts) / 1e6)
        sizes["hf_older"] = sum(len(text.encode()) for text in texts[:FIRST_TEXTS]) / 1e6
        for row in rows:
            told = runs[row["name"]].result
            row.update(zip(("tokens", "texts", "checksum"), told.tolist(), strict=True))
    else:
        sample = first_bytes(args.pool, tokenize.FIRST_RECORDS) / 1e6
        sizes |= dict.fromkeys(SAMPLED & set(names), sample)
        for row in rows:
            whole(args.pool, row, runs[row["name"]].result)
    add_rates(rows, runs, sizes)
    what = "Tokenizers alone" if args.alone else "Chats to packed Arrow"
    title = f"{what}, {args.pool.name}, Qwen2"
    kind = "encode" if args.alone else "tokenize"
    name = args.name or f"{kind}_{args.pool.stem}"
    measure.save(name, title, args.pool, rows, repeat=args.repeat)


if __name__ == "__main__":
    main()
