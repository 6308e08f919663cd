"""The way back: the columns that came in, in the format that is asked for."""

from __future__ import annotations

import gzip
import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from lmmixup.errors import ArgumentError, DataError, FileError, OutputExistsError
from lmmixup.pool.layout import is_json_field
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmmixup.pool.layout import Layout
    from lmmixup.pool.reading import Pool

_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".csv", ".parquet")


def export(
    pool: Pool,
    output: str | Path,
    *,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> int:
    """Writes records with the columns that came in, under their own names.

    Args:
        pool: A result folder of lmmixup, or any pool.
        output: File; its ending says the format: .jsonl, .jsonl.gz, .jsonl.zst, .json, .csv,
            .parquet. `-` writes JSONL to standard output.
        overwrite: Replace an output that exists.
        num_threads: Threads that read; 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        Number of records written.

    Raises:
        OutputExistsError: The output exists and `overwrite` is false.
        ArgumentError: The ending names no format.
        FileError: The output cannot be written.

    Notes:
        Values and the order of columns are those that came in. A field that some records
        lacked is left out where it is null; if it was null in others, null is written in all.

    Source:
        Ours.
    """
    layout = pool.layout(num_threads, reporter)
    if not layout.originals:
        raise DataError("expected a pool with its original columns, got none of them")
    columns = list(dict.fromkeys(original.column for original in layout.originals))
    batches = pool.batches(columns, num_threads=num_threads, reporter=reporter)
    if str(output) == "-":
        return _write_jsonl(sys.stdout.buffer, batches, layout)
    path = Path(output)
    if not path.name.lower().endswith(_ENDINGS):
        raise ArgumentError(f"{path}: expected an ending of {', '.join(_ENDINGS)}, got another")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path}: exists already; name another file or pass --overwrite")
    try:
        with _whole_or_nothing(path) as partial:
            return _write(partial, path.name.lower(), batches, layout)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path}: {error.strerror or error}; it was not written") from error


@contextmanager
def _whole_or_nothing(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write(partial: Path, name: str, batches: Iterator[pa.RecordBatch], layout: Layout) -> int:
    if name.endswith(".parquet"):
        return _write_parquet(partial, batches, layout)
    if name.endswith(".csv"):
        return _write_csv(partial, batches, layout)
    if name.endswith(".json"):
        with partial.open("wb") as file:
            return _write_list(file, batches, layout)
    with _compressed(partial, name) as file:
        return _write_jsonl(file, batches, layout)


@contextmanager
def _compressed(partial: Path, name: str) -> Iterator[IO[bytes]]:
    if name.endswith(".gz"):
        # No name and no time in the header: the same records give the same bytes.
        with partial.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, 0) as packed:
            yield cast("IO[bytes]", packed)
    elif name.endswith(".zst"):
        with pa.CompressedOutputStream(str(partial), "zstd") as packed:
            yield packed
    else:
        with partial.open("wb") as file:
            yield file


def _write_jsonl(file: IO[bytes], batches: Iterator[pa.RecordBatch], layout: Layout) -> int:
    num_records = 0
    for batch in batches:
        lines = _json_records(batch, layout)
        file.write(("\n".join(lines) + "\n").encode())
        num_records += len(lines)
    file.flush()
    return num_records


def _write_list(file: IO[bytes], batches: Iterator[pa.RecordBatch], layout: Layout) -> int:
    num_records = 0
    file.write(b"[")
    for batch in batches:
        lines = _json_records(batch, layout)
        start = "\n" if num_records == 0 else ",\n"
        file.write((start + ",\n".join(lines)).encode())
        num_records += len(lines)
    file.write(b"\n]\n")
    return num_records


def _json_records(batch: pa.RecordBatch, layout: Layout) -> list[str]:
    parts: list[list[str | None]] = []
    for original in layout.originals:
        key = json.dumps(original.name, ensure_ascii=False)
        values = batch.column(original.column).to_pylist()
        if original.is_json:
            texts = [None if value is None else f"{key}: {value}" for value in values]
        else:
            texts = [None if value is None else f"{key}: {_json(value)}" for value in values]
        nothing = None if original.omit_nulls else f"{key}: null"
        parts.append([nothing if text is None else text for text in texts])
    return [
        "{" + ", ".join(p for p in row if p is not None) + "}" for row in zip(*parts, strict=True)
    ]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _original_batch(batch: pa.RecordBatch, layout: Layout) -> pa.RecordBatch:
    fields, columns = [], []
    for original in layout.originals:
        column = batch.column(original.column)
        metadata = None
        if is_json_field(layout.schema.field(original.column)):
            metadata = layout.schema.field(original.column).metadata
        fields.append(pa.field(original.name, column.type, metadata=metadata))
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def _write_parquet(partial: Path, batches: Iterator[pa.RecordBatch], layout: Layout) -> int:
    schema = _original_batch(_no_rows(layout), layout).schema
    num_records = 0
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(_original_batch(batch, layout))
            num_records += batch.num_rows
    return num_records


def _write_csv(partial: Path, batches: Iterator[pa.RecordBatch], layout: Layout) -> int:
    schema = _original_batch(_no_rows(layout), layout).schema
    nested = [field.name for field in schema if pa.types.is_nested(field.type)]
    if nested:
        names = ", ".join(nested)
        raise ArgumentError(f"expected flat columns for CSV, got {names}; export .jsonl instead")
    num_records = 0
    with pacsv.CSVWriter(partial, schema) as writer:
        for batch in batches:
            writer.write_batch(_original_batch(batch, layout))
            num_records += batch.num_rows
    return num_records


def _no_rows(layout: Layout) -> pa.RecordBatch:
    names = list(dict.fromkeys(original.column for original in layout.originals))
    schema = pa.schema([layout.schema.field(name) for name in names])
    return pa.RecordBatch.from_pylist([], schema=schema)
