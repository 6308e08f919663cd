"""Exact near-duplicate pairs, in other code than the product's, and families judged by them.

Nothing here filters, hashes or estimates: shingles are tuples of words, Jaccard is counted.

* `brute_force`: all pairs of a small pool, by the product of its incidence matrix with itself.
* `sampled`: 5,000 drawn records against the whole pool, by a plain inverted index.

    python benches/truth.py DIR/pool52k.jsonl --sample 5000 --out DIR/pool52k.truth.parquet
    python benches/truth.py DIR/pool52k.jsonl --first 20000 --out DIR/pool20k.truth.parquet

A truth file has a row for each pair with J >= 0.5: the line numbers `a` (drawn) and `b` (any other)
and `jaccard`. Its metadata has the drawn lines. Shingles are word 5-grams of the lower-cased
record, words are what whitespace leaves; a record of fewer words is one shingle.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FLOOR = 0.5  # pairs below this are not stored
Shingle = tuple[str, ...]


def record_text(record: dict[str, Any]) -> str:
    """What near-duplicates are judged by: the prompt, a line break, the completion."""
    middle = f"\n{record['input']}" if record["input"] else ""
    return f"{record['instruction']}{middle}\n{record['output']}"


def read_texts(path: Path, first: int | None = None) -> Iterator[str]:
    """The texts of a pool's records, in file order; `first` stops after so many."""
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if number == first:
                return
            yield record_text(orjson.loads(line))


def shingle(text: str, n: int = 5) -> set[Shingle]:
    """Word n-grams of the lower-cased text; one shingle where there are fewer than n words."""
    words = text.lower().split()
    if len(words) < n:
        return {tuple(words)}
    return set(zip(*(words[at:] for at in range(n)), strict=False))


def jaccard(a: set[Shingle], b: set[Shingle]) -> float:
    """Shared shingles over all shingles."""
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared)


@dataclass(frozen=True)
class Truth:
    """Every pair with J >= FLOOR that has a drawn record in it.

    Attributes:
        a: (P,) line number of the drawn record.
        b: (P,) line number of its partner; a pair of two drawn records stands both ways.
        jaccard: (P,) float64.
        drawn: (S,) line numbers of all drawn records, ascending.
    """

    a: np.ndarray
    b: np.ndarray
    jaccard: np.ndarray
    drawn: np.ndarray

    def at(self, threshold: float) -> Truth:
        """The pairs with J >= threshold only."""
        kept = self.jaccard >= threshold
        return Truth(self.a[kept], self.b[kept], self.jaccard[kept], self.drawn)

    def write(self, path: Path, **about: object) -> None:
        """Save as Parquet; `about` goes into its metadata."""
        table = pa.table({"a": self.a, "b": self.b, "jaccard": self.jaccard})
        meta = {"drawn": json.dumps(self.drawn.tolist()), "about": json.dumps(about)}
        pq.write_table(table.replace_schema_metadata(meta), path, compression="zstd")

    @classmethod
    def read(cls, path: Path) -> Truth:
        """Load what `write` saved."""
        table = pq.read_table(path)
        drawn = np.array(json.loads(table.schema.metadata[b"drawn"]), dtype=np.int64)
        a, b, values = (table.column(name).to_numpy() for name in ("a", "b", "jaccard"))
        return cls(a, b, values, drawn)


def brute_force(texts: Iterable[str], n: int = 5, block: int = 250) -> Truth:
    """All pairs of a small pool: incidence matrix times its transpose, block by block of rows."""
    numbers: dict[Shingle, int] = {}
    columns: list[int] = []
    indptr = [0]
    for text in texts:
        columns += [numbers.setdefault(s, len(numbers)) for s in shingle(text, n)]
        indptr.append(len(columns))
    shape = (len(indptr) - 1, len(numbers))
    ones = np.ones(len(columns), dtype=np.int32)
    incidence = sparse.csr_array((ones, np.array(columns, dtype=np.int32), indptr), shape=shape)
    sizes = np.diff(indptr)
    transposed = incidence.T.tocsr()
    found = []
    for start in range(0, shape[0], block):
        shared = (incidence[start : start + block] @ transposed).tocoo()
        a, b = shared.row.astype(np.int64) + start, shared.col.astype(np.int64)
        values = shared.data / (sizes[a] + sizes[b] - shared.data)
        keep = (values >= FLOOR) & (a != b)
        found.append((a[keep], b[keep], values[keep]))
    a, b, values = (np.concatenate(part) for part in zip(*found, strict=True))
    return _in_order(a, b, values, np.arange(shape[0]))


def sampled(texts: Iterable[str], drawn: np.ndarray, pool: Iterable[str], n: int = 5) -> Truth:
    """`drawn` records (their `texts`, ascending lines) against every record of `pool`."""
    index: dict[Shingle, list[int]] = defaultdict(list)
    sizes = []
    for at, text in enumerate(texts):
        shingles = shingle(text, n)
        sizes.append(len(shingles))
        for one in shingles:
            index[one].append(at)
    found: list[tuple[int, int, float]] = []
    for line, text in enumerate(pool):
        shingles = shingle(text, n)
        shared: Counter[int] = Counter()
        for one in index.keys() & shingles:
            shared.update(index[one])
        for at, count in shared.items():
            value = count / (sizes[at] + len(shingles) - count)
            if value >= FLOOR and line != drawn[at]:
                found.append((int(drawn[at]), line, value))
    a, b, values = zip(*found, strict=True) if found else ((), (), ())
    return _in_order(np.array(a, np.int64), np.array(b, np.int64), np.array(values, float), drawn)


def _in_order(a: np.ndarray, b: np.ndarray, values: np.ndarray, drawn: np.ndarray) -> Truth:
    order = np.lexsort((b, a))
    return Truth(a[order], b[order], values[order], drawn)


def recall(families: np.ndarray, truth: Truth) -> float:
    """Share of truth pairs that stand in one family.

    Args:
        families: (N,) label of every record's family, in file order.
        truth: the pairs that count: use `Truth.at`.
    """
    if not len(truth.a):
        return 1.0
    return float(np.mean(families[truth.a] == families[truth.b]))


@dataclass(frozen=True)
class FalseDrops:
    """Drawn records that were dropped, and how many of them should have stayed.

    Attributes:
        dropped: how many drawn records were dropped.
        no_kept: of them, those without a kept record at J >= t: content that is lost.
        no_partner: of them, those without any record at J >= t, kept or not.
    """

    dropped: int
    no_kept: int
    no_partner: int


def false_drops(dropped: np.ndarray, truth: Truth) -> FalseDrops:
    """Count the false drops among the drawn records.

    Args:
        dropped: (N,) bool, True where a record was dropped; the others were kept.
        truth: the pairs that count: use `Truth.at`.
    """
    drawn = truth.drawn[dropped[truth.drawn]]
    with_partner = np.unique(truth.a)
    with_kept = np.unique(truth.a[~dropped[truth.b]])
    return FalseDrops(
        dropped=len(drawn),
        no_kept=int(np.sum(~np.isin(drawn, with_kept))),
        no_partner=int(np.sum(~np.isin(drawn, with_partner))),
    )


def drop_all_but_first(families: np.ndarray) -> np.ndarray:
    """What a tool drops that keeps the first record of each family: (N,) bool."""
    dropped = np.ones(len(families), dtype=bool)
    dropped[np.unique(families, return_index=True)[1]] = False
    return dropped


def check_named(
    texts: list[str], row: np.ndarray, kept: np.ndarray, named: np.ndarray, *, t: float, n: int = 5
) -> int:
    """How many dropped records name a partner wrongly; every one is recounted, none is drawn.

    Args:
        texts: the pool's texts.
        row: (D,) lines of the dropped records.
        kept: (D,) line of the kept record that each names.
        named: (D,) the Jaccard that each names.
        t: threshold.
        n: words of a shingle.
    """
    dropped = set(row.tolist())
    wrong = 0
    for a, b, value in zip(row.tolist(), kept.tolist(), named.tolist(), strict=True):
        true = jaccard(shingle(texts[a], n), shingle(texts[b], n))
        wrong += b in dropped or true < t or abs(true - value) > 1e-6
    return wrong


def main() -> None:
    """Parse the command line and write one truth file."""
    parser = argparse.ArgumentParser(description="Exact near-duplicate pairs of a pool.")
    parser.add_argument("pool", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--sample", type=int, help="draw so many records, against the whole pool")
    how.add_argument("--first", type=int, help="all pairs of the first so many records")
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()
    start = time.perf_counter()
    if args.first:
        truth = brute_force(read_texts(args.pool, args.first))
    else:
        with args.pool.open("rb") as file:
            num = sum(1 for _ in file)
        rng = np.random.default_rng(args.seed)
        drawn = np.sort(rng.choice(num, min(args.sample, num), replace=False))
        wanted = set(drawn.tolist())
        texts = [text for at, text in enumerate(read_texts(args.pool)) if at in wanted]
        truth = sampled(texts, drawn, read_texts(args.pool))
    truth.write(args.out, pool=args.pool.name, sample=args.sample, first=args.first, seed=args.seed)
    pairs = {f"{t:.1f}": len(truth.at(t).a) for t in (0.5, 0.6, 0.7, 0.8, 0.9)}
    with_partner = len(np.unique(truth.at(0.7).a)) / len(truth.drawn)
    print(f"{args.out.name}: {len(truth.drawn)} drawn, pairs at J >= t {pairs}, ", end="")
    print(f"{with_partner:.1%} have one at 0.7, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
