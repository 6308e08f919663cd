"""Columns that a stage adds to a pool, beside those that came in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from lmmixup.pool.layout import canonical_layout, free_name, with_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmmixup.pool.layout import Layout


@dataclass(frozen=True)
class Widened:
    """A pool's columns and a stage's own.

    Attributes:
        schema: All columns, the stage's last.
        sources: Columns of the pool that stay, in the schema's order.
        replaced: Columns of the pool that an earlier stage made and that give way.
    """

    schema: pa.Schema
    sources: tuple[str, ...]
    replaced: tuple[str, ...]

    def join(self, records: pa.RecordBatch, added: Sequence[pa.Array]) -> pa.RecordBatch:
        """Records with the stage's columns.

        Args:
            records: Rows of the pool, all its columns.
            added: The stage's columns, in its order.
        """
        kept = [records.column(name) for name in self.sources]
        return pa.RecordBatch.from_arrays([*kept, *added], schema=self.schema)


def widen(layout: Layout, added: pa.Schema) -> Widened:
    """Adds columns to a pool's layout.

    A column of the same name that came in with the pool is kept as `original_NAME`, and
    `pool export` still finds it; one that an earlier stage made is replaced.

    Args:
        layout: The pool's columns.
        added: The stage's columns.

    Returns:
        The new schema, and where its columns come from.

    Source:
        Ours.
    """
    own = {original.column for original in layout.originals}
    taken = {*layout.schema.names, *added.names}
    fields: list[pa.Field] = []
    sources: list[str] = []
    moved: dict[str, str] = {}
    for field in layout.schema:
        if field.name not in added.names:
            name = field.name
        elif field.name in own:
            name = moved[field.name] = free_name(field.name, taken)
        else:
            continue
        fields.append(field.with_name(name))
        sources.append(field.name)
    originals = tuple(
        replace(original, column=moved.get(original.column, original.column))
        for original in layout.originals
    )
    schema = with_metadata(pa.schema([*fields, *added]), layout.schema_name, originals).schema
    gone = tuple(name for name in layout.schema.names if name not in sources)
    return Widened(schema, tuple(sources), gone)


def beside(records: pa.Table, added: pa.Schema) -> tuple[pa.Table, tuple[str, ...]]:
    """Records in memory, with names under which their columns can stand beside a stage's.

    Args:
        records: All columns of a pool.
        added: The stage's columns.

    Returns:
        The records as `widen` names their columns, without those that give way; and the names
        of the latter.

    Source:
        Ours.
    """
    layout = canonical_layout(records.schema)
    if layout is None:
        return records, ()
    widened = widen(layout, added)
    names = widened.schema.names[: len(widened.sources)]
    kept = records.select(list(widened.sources)).rename_columns(names)
    return kept.replace_schema_metadata(widened.schema.metadata), widened.replaced
