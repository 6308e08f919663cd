"""Vectors that the user has: a NumPy file, a column, a file with a column, a result folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmmixup.embed.heart import Embedded
from lmmixup.embed.vectors import read_vectors
from lmmixup.errors import DataError, FileError
from lmmixup.stage import file_sha256

if TYPE_CHECKING:
    from lmmixup.embed.config import EmbedConfig
    from lmmixup.records import Records

TABLE_SUFFIXES = {".parquet", ".arrow", ".feather", ".ipc"}


def given_vectors(pool: Records, config: EmbedConfig) -> Embedded:
    """The vectors that a config points to, in the order of the pool's records.

    A `.npy` file has one row a record; a table with an `id` column and a result folder of
    `lmmixup embed` are matched by id.

    Args:
        pool: The records.
        config: Kind `npy` or `column`.

    Returns:
        Vectors of length 1 (zero rows stay).

    Raises:
        DataError: Another number of rows than records, a record without vector, vectors of
            several lengths, NaN or infinity.
        FileError: The file cannot be read.
    """
    ids = pool_ids(pool)
    if config.kind == "column":
        column = pool_column(pool, config.argument)
        vectors = column_vectors(column, f"column {config.argument!r}")
        identity: dict[str, Any] = {"embedder": "column", "name": config.argument}
    else:
        vectors, identity = _from_file(Path(config.argument), config.vector_column, ids)
    where = config.argument
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise DataError(
            f"{where}: vectors must be 2-D (N, D), got shape {vectors.shape}; a row for each record"
        )
    if len(vectors) != len(ids):
        raise DataError(
            f"{where}: expected {len(ids):,} vectors, one a record, got {len(vectors):,}; "
            "vectors in a table with an `id` column are matched by id"
        )
    if config.dim is not None and vectors.shape[1] != config.dim:
        raise DataError(
            f"{where}: expected {config.dim} dimensions, got {vectors.shape[1]}; leave out --dim"
        )
    return Embedded(ids, unit_rows(vectors, where), {**identity, "dim": int(vectors.shape[1])})


def pool_ids(pool: Records) -> pa.ChunkedArray:
    """The ids of all records, in order."""
    return pool_column(pool, "id")


def pool_column(pool: Records, name: str) -> pa.ChunkedArray:
    """A column of the pool.

    Raises:
        DataError: There is none of that name; names those that are.
    """
    if name not in pool.schema.names:
        raise DataError(f"no column {name!r} in the pool; it has {', '.join(pool.schema.names)}")
    chunks = [batch.column(name) for batch in pool.batches([name])]
    return pa.chunked_array(chunks, pool.schema.field(name).type)


def column_vectors(column: pa.ChunkedArray, where: str) -> np.ndarray:
    """A list column as an array.

    Args:
        column: (N,) lists or fixed-size lists of numbers; or strings that hold JSON lists, as
            which lists in JSON files come.
        where: What messages call it.

    Returns:
        (N, D) float32.

    Raises:
        DataError: Not lists of numbers, a null, or lists of several lengths; names the row.
    """
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _parsed(column, where)
    kind = column.type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (listed or pa.types.is_fixed_size_list(kind)) or not (
        pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
    ):
        raise DataError(f"{where}: expected lists of numbers, got {kind}")
    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
        raise DataError(f"{where}: row {row} has no vector; drop such records first")
    if len(column) == 0:
        return np.zeros((0, kind.list_size if pa.types.is_fixed_size_list(kind) else 0), np.float32)
    lengths = pc.list_value_length(column).to_numpy()
    if (lengths != lengths[0]).any() or lengths[0] == 0:
        row = int(np.argmax(lengths != lengths[0]))
        raise DataError(
            f"{where}: row {row} has {lengths[row]} dimensions, row 0 has {lengths[0]}; "
            "all vectors must have the same number, at least 1"
        )
    values = pc.list_flatten(column).cast(pa.float32()).to_numpy()
    return np.ascontiguousarray(values, np.float32).reshape(len(column), int(lengths[0]))


def _parsed(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    lists: list[list[float] | None] = []
    for row, text in enumerate(column.to_pylist()):
        try:
            value = None if text is None else json.loads(text)
        except ValueError:
            value = text
        numbers = isinstance(value, list) and all(type(x) in (int, float) for x in value)
        if value is not None and not numbers:
            raise DataError(f"{where}: row {row}: expected a list of numbers, got {text[:60]!r}")
        lists.append(value)
    return pa.chunked_array([pa.array(lists, pa.list_(pa.float64()))])


def unit_rows(vectors: np.ndarray, where: str) -> np.ndarray:
    """Float32 rows of length 1; zero rows stay.

    Args:
        vectors: (N, D) numbers.
        where: What messages call it.

    Raises:
        DataError: NaN or infinity; names the row.
    """
    with np.errstate(over="ignore"):  # what single precision cannot hold is named below
        result = np.array(vectors, np.float32, order="C")
    step = 65_536
    for start in range(0, len(result), step):
        rows = result[start : start + step]
        bad = ~np.isfinite(rows).all(axis=1)
        if bad.any():
            row = start + int(np.argmax(bad))
            raise DataError(
                f"{where}: row {row} has NaN or infinity; embed that record again, or drop it"
            )
        norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
        rows /= np.where(norms == 0, 1, norms).astype(np.float32)
    return result


def _from_file(
    path: Path, column: str | None, ids: pa.ChunkedArray
) -> tuple[np.ndarray, dict[str, Any]]:
    if path.is_dir():
        found = read_vectors(path)
        return _by_id(found.vectors_ND, found.ids, ids, path), found.identity
    try:
        digest = {"embedder": "file", "sha256": file_sha256(path)}
        if path.suffix in TABLE_SUFFIXES:
            return _from_table(path, column or "vector", ids), digest
        return _from_npy(path), digest
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from error
    except (ValueError, EOFError, pa.ArrowInvalid) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: expected a .npy, Parquet or Arrow file: {error}") from error


def _from_npy(path: Path) -> np.ndarray:
    loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(loaded, np.ndarray):
        loaded.close()
        raise DataError(f"{path}: expected a .npy file, got an .npz of several arrays; save one")
    if loaded.dtype.kind not in "fiu":
        raise DataError(f"{path}: expected real numbers, got {loaded.dtype}; save them as float32")
    return loaded


def _from_table(path: Path, column: str, ids: pa.ChunkedArray) -> np.ndarray:
    import pyarrow.dataset as ds  # noqa: PLC0415

    kind = "parquet" if path.suffix == ".parquet" else "ipc"
    names = ds.dataset(path, format=kind).schema.names
    if column not in names:
        raise DataError(
            f"{path}: no column {column!r}, it has {', '.join(names)}; name it with --vector-column"
        )
    wanted = [column, "id"] if "id" in names else [column]
    table = ds.dataset(path, format=kind).to_table(wanted)
    vectors = column_vectors(table.column(column), f"{path}: column {column!r}")
    return _by_id(vectors, table.column("id"), ids, path) if "id" in names else vectors


def _by_id(
    vectors: np.ndarray, have: pa.ChunkedArray, want: pa.ChunkedArray, path: Path
) -> np.ndarray:
    if (again := len(have) - pc.count_distinct(have, mode="all").as_py()) > 0:
        raise DataError(
            f"{path}: expected one vector for each id, got {again:,} ids once more; "
            "drop the rows that are there twice"
        )
    rows = pc.index_in(want.cast(pa.string()), value_set=have.cast(pa.string()))
    if rows.null_count:
        missing = want.filter(pc.is_null(rows))[0].as_py()
        raise DataError(
            f"{path}: no vector for record {missing!r} and {rows.null_count - 1:,} others; "
            "were the vectors made from this pool?"
        )
    picked: np.ndarray = vectors[rows.to_numpy()]
    return picked
