"""Exact-duplicate contenders: a JSONL pool in, one family label a record out (raw text)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., np.ndarray]

FIELDS = ("instruction", "input", "output")


def ours() -> Run:
    """lmmixup, exact families of the raw text."""
    from lmmixup.dedup import DedupConfig, families
    from lmmixup.pool import open_pool

    def run(path: Path) -> np.ndarray:
        config = DedupConfig(method="exact", normalize="raw")
        return families(open_pool(path), config, num_threads=2).family

    return run


def polars() -> Run:
    """polars: lazy scan of the three fields, their joined hash, the first row of each group."""
    import polars as pl

    def run(path: Path) -> np.ndarray:
        schema = dict.fromkeys(("id", "source", *FIELDS), pl.String)
        scan = pl.scan_ndjson(path, schema=schema).select(pl.struct(FIELDS).hash().alias("key"))
        table = scan.collect(engine="streaming").with_row_index("row")
        return table.select(pl.col("row").first().over("key"))["row"].to_numpy()

    return run


def polars_eager() -> Run:
    """Polars as most would write it: read the file, first row of each group of equal texts."""
    import polars as pl

    def run(path: Path) -> np.ndarray:
        table = pl.read_ndjson(path).with_row_index("row")
        return table.select(pl.col("row").first().over(FIELDS))["row"].to_numpy()

    return run


def orjson_xxhash() -> Run:
    """Orjson and a dictionary of 64-bit xxh3 digests, line by line."""
    import orjson
    import xxhash

    def run(path: Path) -> np.ndarray:
        first: dict[int, int] = {}
        labels = []
        with path.open("rb") as file:
            for row, line in enumerate(file):
                record = orjson.loads(line)
                text = f"{record['instruction']}\n{record['input']}\n{record['output']}"
                labels.append(first.setdefault(xxhash.xxh3_64_intdigest(text.encode()), row))
        return np.array(labels)

    return run


def python_set() -> Run:
    """The standard library alone: json and the built-in hash."""
    import json

    def run(path: Path) -> np.ndarray:
        first: dict[int, int] = {}
        labels = []
        with path.open(encoding="utf-8") as file:
            for row, line in enumerate(file):
                record = json.loads(line)
                key = hash(tuple(record[name] for name in FIELDS))
                labels.append(first.setdefault(key, row))
        return np.array(labels)

    return run


def read_and_hash() -> Run:
    """No families: what two threads need to read all bytes and hash them, a bound for everyone."""
    import threading

    import xxhash

    chunk = 2 << 20

    def hash_part(path: Path, start: int, end: int) -> None:
        buffer, digest = memoryview(bytearray(chunk)), xxhash.xxh3_128()
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            while start < end and (count := file.readinto(buffer[: min(chunk, end - start)])):
                digest.update(buffer[:count])
                start += count

    def run(path: Path) -> np.ndarray:
        size = path.stat().st_size
        halves = ((0, size // 2), (size // 2, size))
        threads = [threading.Thread(target=hash_part, args=(path, *half)) for half in halves]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return np.zeros(0, np.int64)

    return run
