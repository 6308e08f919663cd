"""The columns of a pool: canonical ones first, then what came in, and the way back.

The way back is in the schema's metadata under `lmmixup.pool`: which original columns there
were, in order, and which column holds each of them now.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup import _rust

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TURN = pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())])

CANONICAL = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("prompt", pa.string()),
        pa.field("completion", pa.string()),
        pa.field("messages", pa.list_(TURN)),
        pa.field("task_type", pa.string()),
    ]
)
"""Columns that every pool has, first and in this order."""

METADATA_KEY = b"lmmixup.pool"
JSON_METADATA = {b"ARROW:extension:name": b"arrow.json", b"ARROW:extension:metadata": b""}

_NULL_BIT = 1 << 0
_TYPES = {
    "bool": pa.bool_(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "json": pa.string(),
}


@dataclass(frozen=True)
class Seen:
    """What one file has in one column.

    Attributes:
        name: Name of the column.
        kinds: Set of JSON kinds for text files, else `None`.
        type: Arrow type, else `None`.
        is_json: The Arrow column holds JSON text.
        has_nulls: Some value is null.
        has_gaps: Some record lacks the field.
        origin: Column of the file, where it is a canonical one that renamed it.
    """

    name: str
    kinds: int | None
    type: pa.DataType | None
    is_json: bool
    has_nulls: bool
    has_gaps: bool
    origin: str | None = None


@dataclass(frozen=True)
class Original:
    """One original column of the whole pool.

    Attributes:
        name: Its name in what came in.
        column: The pool's column that holds it: itself, a canonical column, or `original_…`.
        is_json: It holds JSON text, which export writes out as it is.
        omit_nulls: Null stands for a field that was not there.
    """

    name: str
    column: str
    is_json: bool = False
    omit_nulls: bool = False


@dataclass(frozen=True)
class Layout:
    """All columns of a pool.

    Attributes:
        schema: The Arrow schema, with the way back in its metadata.
        schema_name: Name of the pool's schema.
        originals: The original columns, in order of first appearance.
    """

    schema: pa.Schema
    schema_name: str
    originals: tuple[Original, ...]


def normal_type(kind: pa.DataType) -> pa.DataType:  # noqa: PLR0911 one line a kind
    """The type without large offsets, views, dictionaries and extensions."""
    if isinstance(kind, pa.BaseExtensionType):
        return normal_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return normal_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(normal_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, normal_type(f.type)) for f in kind])
    return kind


def is_json_field(field: pa.Field) -> bool:
    """Whether a field is marked with the canonical extension `arrow.json`."""
    if isinstance(field.type, pa.BaseExtensionType):
        return bool(field.type.extension_name == "arrow.json")
    return bool((field.metadata or {}).get(b"ARROW:extension:name") == b"arrow.json")


def read_metadata(schema: pa.Schema) -> dict[str, Any] | None:
    """What a schema says about the way back, or `None` where it is none of ours."""
    text = (schema.metadata or {}).get(METADATA_KEY)
    return None if text is None else json.loads(text)


def canonical_layout(schema: pa.Schema) -> Layout | None:
    """The layout of a file that lmmixup wrote, or `None`."""
    metadata = read_metadata(schema)
    if metadata is None or any(name not in schema.names for name in CANONICAL.names):
        return None
    originals = tuple(Original(**row) for row in metadata["originals"])
    fields = [
        pa.field(field.name, normal_type(field.type), metadata=_json_metadata(is_json_field(field)))
        for field in schema
    ]
    own = pa.schema(fields, {METADATA_KEY: json.dumps(metadata).encode()})
    return Layout(own, metadata["schema"], originals)


def merge(
    files: Iterable[Sequence[Seen]],
    schema_name: str,
    reused: dict[str, str],
) -> Layout:
    """The layout of a pool of several files.

    Args:
        files: What each file has.
        schema_name: Name for the metadata.
        reused: Original columns that say exactly what a canonical column says, if they are
            strings without nulls and gaps in every file; name to canonical column.
            `task_type` may have nulls.

    Returns:
        The layout.
    """
    seen: dict[str, list[Seen]] = {}
    num_files = 0
    for columns in files:
        num_files += 1
        for part in columns:
            seen.setdefault(part.name, []).append(part)
    taken = set(CANONICAL.names) | set(seen)
    originals: list[Original] = []
    fields: list[pa.Field] = list(CANONICAL)
    for name, parts in seen.items():
        kind, is_json = _unify(parts)
        gaps = len(parts) < num_files or any(part.has_gaps for part in parts)
        nulls = any(part.has_nulls for part in parts)
        omit_nulls = gaps and not nulls
        target = reused.get(name)
        full = not gaps and not nulls
        if target is not None and not (full or (target == "task_type" and gaps != nulls)):
            target = None
        if target is not None and kind == pa.string() and not is_json:
            originals.append(Original(name, target, False, omit_nulls))
            continue
        column = name if name not in CANONICAL.names else free_name(name, taken)
        originals.append(Original(name, column, is_json, omit_nulls))
        fields.append(pa.field(column, kind, metadata=_json_metadata(is_json)))
    return with_metadata(pa.schema(fields), schema_name, tuple(originals))


def with_metadata(schema: pa.Schema, schema_name: str, originals: tuple[Original, ...]) -> Layout:
    """A layout whose schema says the way back."""
    metadata = {
        "format": 1,
        "schema": schema_name,
        "originals": [asdict(original) for original in originals],
    }
    text = json.dumps(metadata, ensure_ascii=False).encode()
    return Layout(schema.with_metadata({METADATA_KEY: text}), schema_name, originals)


def _json_metadata(is_json: bool) -> dict[bytes, bytes] | None:
    return JSON_METADATA if is_json else None


def free_name(name: str, taken: set[str]) -> str:
    """`original_NAME`, with underscores behind it until nothing else has the name."""
    free = f"original_{name}"
    while free in taken:
        free += "_"
    taken.add(free)
    return free


def _unify(parts: Sequence[Seen]) -> tuple[pa.DataType, bool]:
    """One type for a column over all files, and whether it holds JSON text."""
    text_kinds = 0
    for part in parts:
        text_kinds |= part.kinds or 0
    types: list[tuple[pa.DataType, bool]] = []
    if any(part.kinds is not None for part in parts) and text_kinds & ~_NULL_BIT:
        name = _rust.pool_column_type(text_kinds)
        types.append((_TYPES[name], name == "json"))
    typed = [part for part in parts if part.type is not None and not pa.types.is_null(part.type)]
    types.extend((part.type, part.is_json) for part in typed)
    if not types:
        return pa.string(), False
    if all(one == types[0] for one in types):
        return types[0]
    kinds = [kind for kind, _ in types]
    if all(pa.types.is_integer(kind) for kind in kinds):
        return pa.int64(), False
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        return pa.float64(), False
    return pa.string(), True
