"""Where Arrow data comes from: Parquet and IPC files, and tables in memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from lmmixup.errors import DataError, FileError
from lmmixup.pool.arrow_source import ArrowSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmmixup.pool.files import PoolFile

ROWS_PER_BATCH = 8192


def parquet_source(file: PoolFile) -> ArrowSource:
    """A Parquet file, read a row group at a time."""

    def batches(names: list[str]) -> Iterator[pa.RecordBatch]:
        with _whole(file, "a Parquet file"), pq.ParquetFile(file.path, pre_buffer=False) as opened:
            for batch in opened.iter_batches(ROWS_PER_BATCH, columns=names):
                yield batch.select(names)

    with _whole(file, "a Parquet file"):
        schema = pq.read_schema(file.path)
    return ArrowSource(file.name, file.label, schema, batches)


def ipc_source(file: PoolFile) -> ArrowSource:
    """An Arrow IPC file or stream, memory-mapped."""
    is_file = file.kind == "arrow_file"
    open_ipc = ipc.open_file if is_file else ipc.open_stream

    def batches(names: list[str]) -> Iterator[pa.RecordBatch]:
        with _whole(file, "an Arrow file"), pa.memory_map(str(file.path)) as mapped:
            opened = open_ipc(mapped)
            count = opened.num_record_batches if is_file else None
            for batch in _ipc_batches(opened, count):
                selected = batch.select(names)
                for start in range(0, batch.num_rows, ROWS_PER_BATCH):
                    yield selected.slice(start, ROWS_PER_BATCH)

    with _whole(file, "an Arrow file"), pa.memory_map(str(file.path)) as mapped:
        schema = open_ipc(mapped).schema
    return ArrowSource(file.name, file.label, schema, batches)


def _ipc_batches(opened: Any, count: int | None) -> Iterator[pa.RecordBatch]:
    if count is None:
        yield from opened
    else:
        for index in range(count):
            yield opened.get_batch(index)


def table_source(table: pa.Table) -> ArrowSource:
    """A table in memory."""

    def batches(names: list[str]) -> Iterator[pa.RecordBatch]:
        yield from table.select(names).to_batches(ROWS_PER_BATCH)

    return ArrowSource("<table>", "table", table.schema, batches)


@contextmanager
def _whole(file: PoolFile, expected: str) -> Iterator[None]:
    """What goes wrong while a file is read is said of the file."""
    try:
        yield
    except (FileError, DataError):
        raise
    except (pa.ArrowException, OSError) as error:
        kind = FileError if isinstance(error, OSError) and error.errno else DataError
        raise kind(
            f"{file.name}: expected {expected}, got a damaged one ({error}); fetch it again"
        ) from None
