"""Rows brought into an order that takes no notice of how they lie on disk."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from lmmixup.parquet import ROWS_PER_GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MAX_BUCKETS = 64
"""Files that are open at a time."""


def reordered(
    batches: Iterable[pa.RecordBatch], places: NDArray[np.int64], folder: Path
) -> Iterator[pa.Table]:
    """Gives rows in a new order, in memory for a part of them.

    Rows go to files by a range of places each; each file is then read as a whole and sorted.

    Args:
        batches: The rows, all with one schema.
        places: (N,) int64, where each row goes: the numbers 0..M - 1 once each, -1 for a row
            that is left out.
        folder: Where the files go; they are deleted one by one.

    Yields:
        Tables of rows of consecutive places, from 0 on.

    Notes:
        O(N). Writes and reads each row once; memory holds M / 64 rows, at least 16,384.

    Source:
        Ours.
    """
    num_rows = int(places.max(initial=-1)) + 1
    bucket_rows = max(ROWS_PER_GROUP, -(-num_rows // MAX_BUCKETS))
    paths = [folder / f"bucket-{at}.arrow" for at in range(-(-num_rows // bucket_rows))]
    _scatter(batches, places, bucket_rows, paths)
    first = 0
    for path in paths:
        inside = places[(places >= first) & (places < first + bucket_rows)] - first
        source_of = np.empty(len(inside), np.int64)
        source_of[inside] = np.arange(len(inside))
        yield _taken(path, pa.array(source_of))
        path.unlink()
        pa.default_memory_pool().release_unused()  # else the next part comes beside the last
        first += bucket_rows


def _taken(path: Path, rows: pa.Array) -> pa.Table:
    """Rows of a file; a column at a time, so that at most one is there three times."""
    with pa.OSFile(str(path), "rb") as file:
        table = ipc.open_stream(file).read_all()
    columns = [column.combine_chunks().take(rows) for column in table.itercolumns()]
    return pa.Table.from_arrays(columns, schema=table.schema)


def _scatter(
    batches: Iterable[pa.RecordBatch],
    places: NDArray[np.int64],
    bucket_rows: int,
    paths: list[Path],
) -> None:
    """Writes each row into the file of its place, in the order in which they came."""
    with ExitStack() as stack:
        writers: list[ipc.RecordBatchStreamWriter] = []
        done = 0
        for batch in batches:
            if not writers:
                writers = [stack.enter_context(ipc.new_stream(p, batch.schema)) for p in paths]
            buckets = places[done : done + batch.num_rows] // bucket_rows  # -1 stays below 0
            done += batch.num_rows
            for bucket in np.unique(buckets[buckets >= 0]):
                rows = np.flatnonzero(buckets == bucket)
                writers[bucket].write_batch(batch.take(pa.array(rows)))
