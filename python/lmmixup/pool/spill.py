"""A pool on disk in the form that is cheapest to read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import ipc

from lmmixup.pool.arrow_source import ArrowSource
from lmmixup.pool.options import PoolOptions
from lmmixup.pool.reading import Pool
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def spilled(pool: Pool, folder: Path, *, num_threads: int = 0, reporter: Reporter = SILENT) -> Pool:
    """The same records, parsed once and written to `folder`, for stages that read them often.

    Args:
        pool: Where the records come from; read once, beside the look for its columns.
        folder: Where the file goes; who made it deletes it.
        num_threads: Threads that read; 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        A pool of the canonical records. One that lmmixup wrote comes back as it is: its columns
        are read one by one already.

    Raises:
        DataError: A record cannot be used and the pool's options are strict.

    Notes:
        Takes some 2.5 times the texts' bytes on disk, uncompressed; memory holds a few batches.

    Source:
        Ours.
    """
    if pool.is_own:
        return pool
    path = folder / "records.arrow"
    schema = pool.layout(num_threads, reporter).schema
    with pa.OSFile(str(path), "wb") as file, ipc.new_file(file, schema) as writer:
        for batch in pool.batches(num_threads=num_threads, reporter=reporter):
            writer.write_batch(batch)

    def batches(names: list[str]) -> Iterator[pa.RecordBatch]:
        # Read, not mapped: pages of a map would count as this process's memory.
        wanted = [schema.get_field_index(name) for name in names]
        with pa.OSFile(str(path), "rb") as file:
            opened = ipc.open_file(file, options=ipc.IpcReadOptions(included_fields=wanted))
            for index in range(opened.num_record_batches):
                yield opened.get_batch(index).select(names)

    return Pool([ArrowSource(path.name, "spill", schema, batches)], PoolOptions())
