"""Vectors on disk: `vectors.npy` in f32, f16 or i8, row by row with `data.parquet`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from lmmixup.errors import DataError, FileError

if TYPE_CHECKING:
    from lmmixup.embed.heart import Embedded

VECTORS = "vectors.npy"
SCALES = "scales.npy"
I8_MAX = 127
STEP = 65_536
"""Rows that are converted at a time."""


def write_vectors(vectors_ND: np.ndarray, folder: Path, dtype: str) -> None:
    """Writes `vectors.npy`, and `scales.npy` for i8.

    Args:
        vectors_ND: (N, D) float32.
        folder: Where to.
        dtype: `f32`, `f16`, or `i8` with round(x / s), s = largest |x| of the row / 127.

    Notes:
        Largest error of an entry: f16 2^-12 of it; i8 1/254 of the row's largest entry.
    """
    stored = {"f32": np.float32, "f16": np.float16, "i8": np.int8}[dtype]
    out = np.lib.format.open_memmap(
        folder / VECTORS, mode="w+", dtype=stored, shape=vectors_ND.shape
    )
    scales = np.zeros(len(vectors_ND), np.float32)
    for start in range(0, len(vectors_ND), STEP):
        rows = vectors_ND[start : start + STEP]
        if dtype == "i8":
            scale = np.abs(rows).max(axis=1) / np.float32(I8_MAX)
            scales[start : start + STEP] = scale
            rows = np.rint(rows / np.where(scale == 0, 1, scale)[:, None])
        out[start : start + STEP] = rows
    out.flush()
    if dtype == "i8":
        np.save(folder / SCALES, scales)


def read_vectors(folder: str | Path) -> Embedded:
    """Reads a result folder of `lmmixup embed`.

    Args:
        folder: The folder.

    Returns:
        Ids, float32 vectors and the identity of what made them.

    Raises:
        FileError: It is not such a folder.
        DataError: Its files do not fit one another.

    Source:
        Ours.

    Example:
        >>> from lmmixup.embed import read_vectors
        >>> read_vectors("vectors/").vectors_ND.dtype  # doctest: +SKIP
        dtype('float32')
    """
    from lmmixup.embed.heart import Embedded  # noqa: PLC0415

    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        stored = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
        ids = pq.read_table(folder / "data.parquet", columns=["id"]).column("id")
        scales = np.load(folder / SCALES, allow_pickle=False) if stored.dtype == np.int8 else None
    except OSError as error:
        raise FileError(f"{folder}: expected a result of `lmmixup embed`: {error}") from error
    if stored.ndim != 2 or len(stored) != len(ids):
        raise DataError(f"{folder}: {VECTORS} has shape {stored.shape}, but {len(ids)} records")
    vectors = np.array(stored, np.float32)
    if scales is not None:
        vectors *= scales[:, None]
    return Embedded(ids, vectors, manifest["figures"]["identity"])
