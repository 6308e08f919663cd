"""What a pool reads from: text files through Rust, Arrow data through pyarrow."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc

from lmmixup import _rust
from lmmixup.errors import DataError, FileError
from lmmixup.pool.layout import (
    CANONICAL,
    Seen,
    canonical_layout,
    is_json_field,
    normal_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from lmmixup._rust import PoolIds, PoolMapping
    from lmmixup.pool.files import PoolFile
    from lmmixup.pool.layout import Layout, Original

ROWS_PER_BATCH = 8192
_NULL_BIT = 1 << 0

RejectRow = tuple[int, str, str, str, str, str]
"""`(line or row, reason, expected, got, hint, raw)` as Rust gives it."""

ColumnRow = tuple[str, int, int]
"""`(name, kinds, count)` as Rust gives it."""


@dataclass(frozen=True)
class Request:
    """What a pass over a pool is to give.

    Attributes:
        canonical: Canonical columns, in their own order.
        originals: Original columns with the fields that hold them.
        source: Source of all records, or `None` for their own or the file's.
        num_threads: Threads that read; 0 takes all cores.
    """

    canonical: Sequence[str]
    originals: Sequence[tuple[Original, pa.Field]]
    source: str | None
    num_threads: int


class Store(Protocol):
    """What takes the texts of a pool in Rust: `_rust.ExactPool`, `_rust.TextPool`."""

    def push(self, batch: pa.RecordBatch, num_threads: int) -> None:
        """Takes a batch with `id`, `prompt` and `completion`."""

    def read(
        self, reader: _rust.PoolReader, on_progress: Callable[..., Any] | None = None
    ) -> list[RejectRow] | None:
        """Takes records of a file up to the next rejects; `None` at the end."""

    def __len__(self) -> int:
        """Number of records."""


class Source(Protocol):
    """One input of a pool."""

    name: str
    has_lines: bool
    label: str

    def head(self) -> list[ColumnRow]:
        """Columns by a look at the beginning, for detection."""

    def look(self, num_threads: int, on_progress: Callable[..., Any] | None) -> list[Seen]:
        """Columns by a look at every record."""

    def read(
        self,
        mapping: PoolMapping,
        ids: PoolIds,
        request: Request,
    ) -> Generator[tuple[pa.RecordBatch, list[RejectRow]]]:
        """Batches of the canonical columns, then of the originals, with their rejects."""

    def feed(
        self,
        store: Store,
        mapping: PoolMapping,
        ids: PoolIds,
        request: Request,
        on_progress: Callable[..., Any] | None,
    ) -> Generator[list[RejectRow]]:
        """Gives every record to a store; yields the rejects on the way."""


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


class ArrowSource:
    """Parquet, Arrow IPC or a table in memory."""

    has_lines = False

    def __init__(
        self,
        name: str,
        label: str,
        schema: pa.Schema,
        batches: Callable[[list[str]], Iterator[pa.RecordBatch]],
    ) -> None:
        self.name, self.label = name, label
        self._schema = schema
        self._batches = batches
        self.layout: Layout | None = canonical_layout(schema)

    def head(self) -> list[ColumnRow]:
        """Columns of the schema."""
        if self.layout is not None:
            return _rust.pool_schema_columns(CANONICAL)
        return _rust.pool_schema_columns(self._normal_schema())

    def look(self, num_threads: int, on_progress: Callable[..., Any] | None) -> list[Seen]:  # noqa: ARG002
        """Columns of the schema, read once to see which of them have nulls."""
        if self.layout is not None:
            return self._look_back(self.layout)
        nulls = self._with_nulls(self._schema.names)
        return [
            Seen(f.name, None, normal_type(f.type), is_json_field(f), f.name in nulls, False)
            for f in self._schema
        ]

    def _look_back(self, layout: Layout) -> list[Seen]:
        columns = []
        with_nulls = self._with_nulls(layout.schema.names)
        for original in layout.originals:
            field = layout.schema.field(original.column)
            nulls = original.column in with_nulls
            columns.append(
                Seen(
                    original.name,
                    None,
                    field.type,
                    original.is_json,
                    nulls and not original.omit_nulls,
                    nulls and original.omit_nulls,
                    original.column,
                )
            )
        known = {original.column for original in layout.originals} | set(CANONICAL.names)
        for field in layout.schema:
            if field.name not in known:
                nulls = field.name in with_nulls
                columns.append(
                    Seen(field.name, None, field.type, is_json_field(field), nulls, False)
                )
        return columns

    def _with_nulls(self, names: list[str]) -> set[str]:
        found: set[str] = set()
        for batch in self._batches(names):
            columns = zip(names, batch.columns, strict=True)
            found.update(name for name, column in columns if column.null_count)
        return found

    def _normal_schema(self) -> pa.Schema:
        return pa.schema([pa.field(f.name, normal_type(f.type)) for f in self._schema])

    def read(
        self,
        mapping: PoolMapping,
        ids: PoolIds,
        request: Request,
    ) -> Generator[tuple[pa.RecordBatch, list[RejectRow]]]:
        """Batches of pyarrow, their canonical columns made in Rust."""
        origins = self._origins()
        here = [
            (one, field, origins[one.name])
            for one, field in request.originals
            if one.name in origins
        ]
        roles = [column for column, _ in mapping.roles if column in self._schema.names]
        read = list(dict.fromkeys([*roles, *(origin for _, _, origin in here)]))
        wanted = [(origin, one.column, "string") for one, _, origin in here]
        label = self.label if request.source is None else request.source
        plan = _rust.PoolPlan(
            mapping, list(request.canonical), wanted, label, request.source is not None, 1 << 62
        )
        row = 1
        for batch in self._batches(read):
            normal = _normal_batch(batch, {origin: (one, f) for one, f, origin in here})
            made, rejects = _rust.pool_canonicalise(normal, plan, ids, row)
            filled = [_with_raw(reject, batch, row) for reject in rejects]
            row += batch.num_rows
            yield _complete(pa.record_batch(made), request), filled

    def feed(
        self,
        store: Store,
        mapping: PoolMapping,
        ids: PoolIds,
        request: Request,
        on_progress: Callable[..., Any] | None,
    ) -> Generator[list[RejectRow]]:
        """Batch by batch."""
        for batch, rejects in self.read(mapping, ids, request):
            store.push(batch, request.num_threads)
            if on_progress is not None:
                on_progress("read pool", len(store), 0)
            yield rejects

    def _origins(self) -> dict[str, str]:
        """Column of the file by original name."""
        if self.layout is None:
            return {name: name for name in self._schema.names}
        origins = {original.name: original.column for original in self.layout.originals}
        known = set(origins.values()) | set(CANONICAL.names)
        return origins | {name: name for name in self.layout.schema.names if name not in known}

    def canonical_batches(self, names: list[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Batches of a file that lmmixup wrote, as they are."""
        for batch in self._batches(names):
            columns = [_plain(batch.column(name)) for name in names]
            fields = [schema.field(name) for name in names]
            yield pa.RecordBatch.from_arrays(
                [column.cast(f.type) for column, f in zip(columns, fields, strict=True)],
                schema=pa.schema(fields, schema.metadata),
            )


def _plain(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage)
    kind = normal_type(array.type)
    return array if array.type == kind else array.cast(kind)


def _normal_batch(
    batch: pa.RecordBatch, originals: dict[str, tuple[Original, pa.Field]]
) -> pa.RecordBatch:
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        plain = _plain(column)
        if name in originals:
            plain = _fit(plain, *originals[name], is_json_field(batch.schema.field(name)))
        columns.append(plain)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _fit(array: pa.Array, original: Original, field: pa.Field, is_json: bool) -> pa.Array:
    if original.is_json and not is_json:
        texts = [None if v is None else _json_text(v) for v in array.to_pylist()]
        return pa.array(texts, pa.string())
    return array if array.type == field.type else array.cast(field.type)


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _complete(
    made: pa.RecordBatch,
    request: Request,
) -> pa.RecordBatch:
    """Adds nulls for columns that this input does not have."""
    names = [*request.canonical, *(one.column for one, _ in request.originals)]
    if made.schema.names == names:
        return made
    fields = {one.column: field for one, field in request.originals}
    columns = [
        made.column(name)
        if name in made.schema.names
        else pa.nulls(made.num_rows, fields[name].type)
        for name in names
    ]
    return pa.RecordBatch.from_arrays(columns, names=names)


def _with_raw(reject: RejectRow, batch: pa.RecordBatch, first_row: int) -> RejectRow:
    row = batch.slice(reject[0] - first_row, 1).to_pylist()[0]
    return (*reject[:5], _json_text(row)[: 64 * 1024])


def parquet_source(file: PoolFile) -> ArrowSource:
    """A Parquet file, read a row group at a time."""
    try:
        schema = pq.read_schema(file.path)
    except (pa.ArrowException, OSError) as error:
        raise _broken(file.name, "a Parquet file", error) from None

    def batches(names: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            with pq.ParquetFile(file.path, pre_buffer=False) as opened:
                for batch in opened.iter_batches(ROWS_PER_BATCH, columns=names):
                    yield batch.select(names)
        except (pa.ArrowException, OSError) as error:
            raise _broken(file.name, "a Parquet file", error) from None

    return ArrowSource(file.name, file.label, schema, batches)


def ipc_source(file: PoolFile) -> ArrowSource:
    """An Arrow IPC file or stream, memory-mapped."""
    is_file = file.kind == "arrow_file"

    def batches(names: list[str]) -> Iterator[pa.RecordBatch]:
        try:
            with pa.memory_map(str(file.path)) as mapped:
                opened = ipc.open_file(mapped) if is_file else ipc.open_stream(mapped)
                count = opened.num_record_batches if is_file else None
                for batch in _ipc_batches(opened, count):
                    selected = batch.select(names)
                    for start in range(0, batch.num_rows, ROWS_PER_BATCH):
                        yield selected.slice(start, ROWS_PER_BATCH)
        except (pa.ArrowException, OSError) as error:
            raise _broken(file.name, "an Arrow file", error) from None

    try:
        with pa.memory_map(str(file.path)) as mapped:
            schema = (ipc.open_file(mapped) if is_file else ipc.open_stream(mapped)).schema
    except (pa.ArrowException, OSError) as error:
        raise _broken(file.name, "an Arrow file", error) from None
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


def _broken(name: str, expected: str, error: Exception) -> DataError | FileError:
    if isinstance(error, FileError | DataError):
        return error
    kind = FileError if isinstance(error, OSError) and error.errno else DataError
    return kind(f"{name}: expected {expected}, got a damaged one ({error}); fetch it again")
