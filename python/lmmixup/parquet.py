"""Parquet files whose bytes depend on their rows only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

ROWS_PER_GROUP = 16_384
"""Rows of a row group: some 16 MB of ordinary instruction records."""


class ParquetSink:
    """Writes batches of any size as row groups of a fixed size.

    Batches are cut anew to `ROWS_PER_GROUP` rows, so the file is the same however the rows
    came in. Use it as a context manager; leaving it writes the footer.

    Args:
        path: File to write; an existing one is replaced.
        schema: Schema of every batch; its metadata is kept.

    Source:
        Ours.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        self.num_rows = 0
        self._waiting: list[pa.RecordBatch] = []
        self._num_waiting = 0
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", compression_level=3)

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Appends rows; whole groups go to the file at once.

        Args:
            rows: Columns as in the schema, in its order.
        """
        batches = rows.to_batches() if isinstance(rows, pa.Table) else [rows]
        self._waiting.extend(batches)
        self._num_waiting += rows.num_rows
        self.num_rows += rows.num_rows
        if self._num_waiting >= ROWS_PER_GROUP:
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
        whole = table.num_rows - table.num_rows % ROWS_PER_GROUP
        for start in range(0, whole, ROWS_PER_GROUP):
            self._write_group(table.slice(start, ROWS_PER_GROUP))
        self._waiting = table.slice(whole).to_batches()
        self._num_waiting = table.num_rows - whole

    def _write_group(self, rows: pa.Table) -> None:
        # One chunk a column: chunk borders would otherwise show in the pages.
        self._writer.write_table(rows.combine_chunks(), row_group_size=ROWS_PER_GROUP)
        del rows
        # Arrow would keep what the group took, some 60 MB, for a group that comes much later.
        pa.default_memory_pool().release_unused()
