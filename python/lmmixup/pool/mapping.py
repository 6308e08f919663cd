"""Which columns of a source are prompt, completion, messages and the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmmixup import _rust
from lmmixup.errors import DataError
from lmmixup.pool.arrow_source import ArrowSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmmixup._rust import PoolMapping
    from lmmixup.pool.options import PoolOptions
    from lmmixup.pool.sources import Source


def map_source(source: Source, options: PoolOptions) -> PoolMapping:
    """The mapping of one source, by the options or by a look at its beginning.

    Args:
        source: The source.
        options: Schema, columns and ids.

    Raises:
        DataError: Its columns are of no known schema.
    """
    named = [(part, names.split("+")) for part, names in options.columns.items()]
    is_own = isinstance(source, ArrowSource) and source.layout is not None
    schema = "messages" if is_own else options.schema
    try:
        return _rust.PoolMapping(source.head(), schema, [] if is_own else named, options.ids)
    except DataError as error:
        raise DataError(f"{source.name}: {error}") from None


def reused_columns(mappings: Iterable[PoolMapping], options: PoolOptions) -> dict[str, str]:
    """Original columns that say the same as a canonical one, in every file.

    Args:
        mappings: Those of all sources.
        options: Whether ids and sources are the records' own.
    """
    names: set[str] | None = None
    for mapping in mappings:
        _, id_at, source_at, task_type_at = mapping.positions
        same = set()
        if options.ids != "content" and mapping.roles[id_at][0] == "id":
            same.add("id")
        if options.source is None and mapping.roles[source_at][0] == "source":
            same.add("source")
        if mapping.roles[task_type_at][0] == "task_type":
            same.add("task_type")
        for at, part in enumerate(("prompt", "completion")):
            if mapping.roles[at] == (part, "text"):
                same.add(part)
        names = same if names is None else names & same
    return {name: name for name in names or ()}
