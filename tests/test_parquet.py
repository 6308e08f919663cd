"""Parquet files: the same bytes however rows come, and columns stored as suits them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lmmixup.parquet import ParquetSink

if TYPE_CHECKING:
    from pathlib import Path

NUMBER = pa.struct([pa.field("id", pa.string()), pa.field("cosine", pa.float32())])


def rows(num_rows: int) -> pa.Table:
    drawn = np.random.default_rng(0).random(num_rows)
    return pa.table(
        {
            "id": [f"r{row % 7}" for row in range(num_rows)],
            "wide": drawn,
            "near": pa.array(
                [[{"id": "a", "cosine": float(x)}, None] for x in drawn], pa.list_(NUMBER)
            ),
            "three": pa.array([[float(x)] * 3 for x in drawn], pa.list_(pa.float32(), 3)),
            "by_name": pa.array(
                [[("x", float(x))] for x in drawn], pa.map_(pa.string(), pa.float64())
            ),
            "words": pa.array([["a", "b"]] * num_rows, pa.large_list(pa.string())),
        }
    )


def write(path: Path, parts: list[pa.Table]) -> bytes:
    with ParquetSink(path, parts[0].schema, rows_per_group=100) as sink:
        for part in parts:
            sink.write(part)
    return path.read_bytes()


def test_bytes_do_not_depend_on_how_rows_come(tmp_path: Path) -> None:
    table = rows(250)
    whole = write(tmp_path / "whole.parquet", [table])
    parts = [table.slice(start, 33) for start in range(0, 250, 33)]
    assert write(tmp_path / "parts.parquet", parts) == whole
    assert pq.read_table(tmp_path / "parts.parquet").equals(table)


def test_fractions_are_split_by_bytes_and_the_rest_has_dictionaries(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [rows(100)])
    group = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0)
    columns = [group.column(at) for at in range(group.num_columns)]
    for column in columns:
        is_float = column.physical_type in ("FLOAT", "DOUBLE")
        assert ("BYTE_STREAM_SPLIT" in column.encodings) == is_float, column.path_in_schema
        assert column.has_dictionary_page != is_float, column.path_in_schema
    assert sum(column.physical_type in ("FLOAT", "DOUBLE") for column in columns) == 4
