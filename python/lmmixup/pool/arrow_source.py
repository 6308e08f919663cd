"""Arrow data, read by pyarrow; its canonical columns are made in Rust."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup import _rust
from lmmixup.pool.layout import CANONICAL, Seen, canonical_layout, is_json_field, normal_type

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from lmmixup._rust import PoolIds, PoolMapping
    from lmmixup.pool.layout import Layout, Original
    from lmmixup.pool.sources import ColumnRow, RejectRow, Request, Store


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
