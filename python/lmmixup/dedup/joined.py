"""Two pools as one, the first one's records first."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from lmmixup.errors import DataError
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmmixup.records import Records


class Joined:
    """The records of two pools, with the columns of both.

    Args:
        first: Their columns come first.
        second: Those that only it has come after them.
        leave_out: Columns of the first that are not wanted.
    """

    def __init__(self, first: Records, second: Records, leave_out: Sequence[str] = ()) -> None:
        self._pools = (first, second)
        self._leave_out = leave_out

    @cached_property
    def schema(self) -> pa.Schema:
        """The first one's columns, then those that only the second has."""
        first, second = (pool.schema for pool in self._pools)
        own = pa.schema([field for field in first if field.name not in self._leave_out])
        try:
            whole = pa.unify_schemas([own, second], promote_options="permissive")
        except pa.ArrowTypeError as error:
            raise DataError(f"the new records have columns of another type: {error}") from None
        return whole.with_metadata(first.metadata)

    def batches(
        self,
        columns: Sequence[str] | None = None,
        *,
        num_threads: int = 0,
        reporter: Reporter = SILENT,
    ) -> Iterator[pa.RecordBatch]:
        """The first one's records, then the second's.

        Args:
            columns: Columns that are wanted; `None` takes all.
            num_threads: Threads that read.
            reporter: Where progress goes.

        Yields:
            Batches; a column that one side does not have is null there.
        """
        names = self.schema.names if columns is None else list(columns)
        schema = pa.schema([self.schema.field(name) for name in names])
        for pool in self._pools:
            present = [name for name in names if name in pool.schema.names]
            for batch in pool.batches(present, num_threads=num_threads, reporter=reporter):
                yield _as_schema(batch, schema)


def _as_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for field in schema:
        at = batch.schema.get_field_index(field.name)
        column = pa.nulls(batch.num_rows, field.type) if at < 0 else batch.column(at)
        columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
