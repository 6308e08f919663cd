"""Parquet files whose bytes depend on their rows only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

ROWS_PER_GROUP = 16_384
"""Rows of a row group: some 16 MB of ordinary instruction records."""


class ParquetSink:
    """Writes batches of any size as row groups of a fixed size.

    Batches are cut anew to groups, so the file is the same however the rows came in. Numbers with
    fractions hardly repeat: they are stored byte by byte, in half of what a dictionary of them
    takes. Use it as a context manager; leaving it writes the footer.

    Args:
        path: File to write; an existing one is replaced.
        schema: Schema of every batch; its metadata is kept.
        rows_per_group: Rows of a group; twice as many are held in memory.

    Source:
        Ours.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, *, rows_per_group: int = ROWS_PER_GROUP
    ) -> None:
        self.path = path
        self.schema = schema
        self.num_rows = 0
        self._rows_per_group = rows_per_group
        self._waiting: list[pa.RecordBatch] = []
        self._num_waiting = 0
        leaves = [leaf for field in schema for leaf in _leaves(field.name, field.type)]
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=[name for name, kind in leaves if not _is_float(kind)],
            use_byte_stream_split=[name for name, kind in leaves if _is_float(kind)],
        )

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Appends rows; whole groups go to the file at once.

        Args:
            rows: Columns as in the schema, in its order.
        """
        batches = rows.to_batches() if isinstance(rows, pa.Table) else [rows]
        self._waiting.extend(batches)
        self._num_waiting += rows.num_rows
        self.num_rows += rows.num_rows
        if self._num_waiting >= self._rows_per_group:
            self._flush_whole_groups()

    def close(self) -> None:
        """Writes what is left and the footer."""
        if self._num_waiting:
            self._write_group(pa.Table.from_batches(self._waiting, self.schema))
        self._waiting.clear()
        self._num_waiting = 0
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _flush_whole_groups(self) -> None:
        table = pa.Table.from_batches(self._waiting, self.schema)
        size = self._rows_per_group
        whole = table.num_rows - table.num_rows % size
        for start in range(0, whole, size):
            self._write_group(table.slice(start, size))
        self._waiting = table.slice(whole).to_batches()
        self._num_waiting = table.num_rows - whole

    def _write_group(self, rows: pa.Table) -> None:
        # One chunk a column: chunk borders would otherwise show in the pages.
        self._writer.write_table(rows.combine_chunks(), row_group_size=self._rows_per_group)
        del rows
        # Arrow would keep what the group took, some 60 MB, for a group that comes much later.
        pa.default_memory_pool().release_unused()


def _leaves(name: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """What Parquet calls the columns of a field, and their types."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{name}.{field.name}", field.type)
    elif pa.types.is_map(kind):
        yield from _leaves(f"{name}.key_value.key", kind.key_type)
        yield from _leaves(f"{name}.key_value.value", kind.item_type)
    elif pa.types.is_nested(kind):
        yield from _leaves(f"{name}.list.element", kind.value_type)
    else:
        yield name, kind


def _is_float(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float32(kind) or pa.types.is_float64(kind))
