"""Text files, read by Rust."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup import _rust
from lmmixup.pool.layout import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lmmixup._rust import PoolIds, PoolMapping
    from lmmixup.pool.files import PoolFile
    from lmmixup.pool.layout import Original
    from lmmixup.pool.sources import ColumnRow, RejectRow, Request, Store

_NULL_BIT = 1 << 0


class TextSource:
    """JSONL, a JSON list, CSV or TSV, plain or packed."""

    def __init__(self, file: PoolFile, max_bytes: int) -> None:
        self.name, self.label, self.has_lines = file.name, file.label, True
        self._path = file.path
        self._max_bytes = max_bytes
        self.format, self.packing = _rust.pool_sniff(str(file.path))
        # A JSON list may be one line: its rows say more.
        self.has_lines = self.format != "json"

    def head(self) -> list[ColumnRow]:
        """Columns of the first records."""
        return _rust.pool_columns(str(self._path), self.format, self._max_bytes, True, 1)[0]

    def look(self, num_threads: int, on_progress: Callable[..., Any] | None) -> list[Seen]:
        """Columns of all records: one fast pass over the file."""
        columns, num_records = _rust.pool_columns(
            str(self._path), self.format, self._max_bytes, False, num_threads, on_progress
        )
        return [
            Seen(name, kinds, None, False, bool(kinds & _NULL_BIT), count < num_records)
            for name, kinds, count in columns
        ]

    def read(
        self,
        mapping: PoolMapping,
        ids: PoolIds,
        request: Request,
    ) -> Generator[tuple[pa.RecordBatch, list[RejectRow]]]:
        """Batches straight from Rust."""
        with closing(self._reader(mapping, ids, request)) as reader:
            while (step := reader.next_batch()) is not None:
                batch, rejects = step
                yield pa.record_batch(batch), rejects

    def feed(
        self,
        store: Store,
        mapping: PoolMapping,
        ids: PoolIds,
        request: Request,
        on_progress: Callable[..., Any] | None,
    ) -> Generator[list[RejectRow]]:
        """The threads that parse make what the store keeps; no Arrow comes between."""
        with closing(self._reader(mapping, ids, request)) as reader:
            while (rejects := store.read(reader, on_progress)) is not None:
                yield rejects

    def _reader(self, mapping: PoolMapping, ids: PoolIds, request: Request) -> _rust.PoolReader:
        wanted = [
            (one.name, one.column, _column_type(one, field)) for one, field in request.originals
        ]
        plan = _rust.PoolPlan(
            mapping,
            list(request.canonical),
            wanted,
            self.label if request.source is None else request.source,
            request.source is not None,
            self._max_bytes,
        )
        return _rust.PoolReader(str(self._path), self.format, plan, ids, request.num_threads)


def _column_type(original: Original, field: pa.Field) -> str:
    if original.is_json:
        return "json"
    for test, name in (
        (pa.types.is_boolean, "bool"),
        (pa.types.is_integer, "int64"),
        (pa.types.is_floating, "float64"),
    ):
        if test(field.type):
            return name
    return "string"
