"""Vectors that the user has: files, columns and result folders, and what can be wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from lmmixup.embed import EmbedConfig, embed_pool
from lmmixup.errors import DataError, FileError
from lmmixup.pool import open_pool

if TYPE_CHECKING:
    from pathlib import Path

VECTORS = np.random.default_rng(3).normal(size=(4, 8)).astype(np.float32)
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)


@pytest.fixture
def pool_file(tmp_path: Path) -> Path:
    rows = [
        {"id": f"r{row}", "prompt": f"p{row}", "completion": "c", "vec": VECTORS[row].tolist()}
        for row in range(4)
    ]
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def embed(pool_file: Path, **config: object) -> np.ndarray:
    return embed_pool(open_pool([str(pool_file)]), EmbedConfig(**config)).vectors_ND  # type: ignore[arg-type]


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_npy(pool_file: Path, tmp_path: Path, dtype: type) -> None:
    path = save(tmp_path / "v.npy", VECTORS.astype(dtype))
    np.testing.assert_allclose(embed(pool_file, vectors=path), UNIT, atol=2e-3)
    np.testing.assert_allclose(embed(pool_file, embedder=f"npy:{path}"), UNIT, atol=2e-3)


def test_fortran_order_and_zero_rows(pool_file: Path, tmp_path: Path) -> None:
    zero = VECTORS.copy()
    zero[2] = 0
    path = save(tmp_path / "v.npy", np.asfortranarray(zero))
    vectors = embed(pool_file, vectors=path)
    assert vectors.flags.c_contiguous
    assert not vectors[2].any()
    np.testing.assert_allclose(vectors[[0, 1, 3]], UNIT[[0, 1, 3]], atol=1e-6)


def test_column_of_the_pool(pool_file: Path) -> None:
    np.testing.assert_allclose(embed(pool_file, vector_column="vec"), UNIT, atol=1e-6)
    np.testing.assert_allclose(embed(pool_file, embedder="column:vec"), UNIT, atol=1e-6)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float32(), 8)])
def test_file_with_ids_in_another_order(
    pool_file: Path, tmp_path: Path, suffix: str, kind: pa.DataType
) -> None:
    column = pa.array(VECTORS[::-1].tolist(), kind)
    table = pa.table({"id": ["r3", "r2", "r1", "r0"], "vector": column})
    path = tmp_path / f"v.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        feather.write_feather(table, path)
    np.testing.assert_allclose(embed(pool_file, vectors=path), UNIT, atol=1e-6)


def bad_row(value: float) -> np.ndarray:
    vectors = VECTORS.copy()
    vectors[2, 5] = value
    return vectors


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (VECTORS[:3], "expected 4 vectors, one a record, got 3"),
        (VECTORS[0], r"must be 2-D \(N, D\), got shape"),
        (bad_row(np.nan), "row 2 has NaN or infinity"),
        (bad_row(-np.inf), "row 2 has NaN or infinity"),
        (np.array([{}] * 4), "expected a .npy, Parquet or Arrow file"),
    ],
    ids=["rows", "shape", "nan", "inf", "pickle"],
)
def test_bad_npy(pool_file: Path, tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        embed(pool_file, vectors=save(tmp_path / "v.npy", array))


def test_bad_files(pool_file: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        embed(pool_file, vectors=tmp_path / "none.npy")
    (tmp_path / "text.npy").write_text("not numpy")
    with pytest.raises(DataError, match=r"expected a \.npy"):
        embed(pool_file, vectors=tmp_path / "text.npy")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(DataError, match=r"expected a \.npy, Parquet"):
        embed(pool_file, vectors=tmp_path / "text.parquet")
    with pytest.raises(DataError, match="expected 16 dimensions, got 8"):
        embed(pool_file, vectors=save(tmp_path / "v.npy", VECTORS), dim=16)


def test_bad_columns(pool_file: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'other' in the pool; it has"):
        embed(pool_file, vector_column="other")
    with pytest.raises(DataError, match="row 0: expected a list of numbers, got 'p0'"):
        embed(pool_file, vector_column="prompt")
    for column, message in [
        ([[1.0, 2.0], [1.0], [1.0, 2.0], [1.0, 2.0]], "row 1 has 1 dimensions, row 0 has 2"),
        ([[1.0], None, [1.0], [1.0]], "row 1 has no vector"),
        ([[], [], [], []], "row 0 has 0 dimensions"),
    ]:
        table = pa.table({"vector": pa.array(column, pa.list_(pa.float32()))})
        pq.write_table(table, tmp_path / "v.parquet")
        with pytest.raises(DataError, match=message):
            embed(pool_file, vectors=tmp_path / "v.parquet")
    pq.write_table(pa.table({"id": ["r0"], "vector": [[1.0]]}), tmp_path / "v.parquet")
    with pytest.raises(DataError, match="no vector for record 'r1' and 2 others"):
        embed(pool_file, vectors=tmp_path / "v.parquet")
