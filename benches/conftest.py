"""Inputs of the benches when they run under pytest: small, real, skipped where missing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
from small_tokenizers import write_tokenizers


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = Path(os.environ.get("LMMIXUP_TEST_DATA", default))
    if not (data / "sample_5k.parquet").exists():
        pytest.skip(f"no test data at {data} (set LMMIXUP_TEST_DATA)")
    return data


@pytest.fixture(scope="session")
def small_pool(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,000 real records as JSONL."""
    path = tmp_path_factory.mktemp("bench") / "pool5k.jsonl"
    with path.open("wb") as file:
        for record in pq.read_table(shared_data / "sample_5k.parquet").to_pylist():
            file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    return path


@pytest.fixture(scope="session")
def small_vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4,000 vectors of 64 dimensions in 400 loose bunches, L2-normalised."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((400, 64))
    vectors = centres[rng.integers(400, size=4000)] + 0.6 * rng.standard_normal((4000, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    path = tmp_path_factory.mktemp("bench") / "vectors.npy"
    np.save(path, vectors.astype(np.float32))
    return path


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small byte-level tokenizer with a ChatML template."""
    folder = tmp_path_factory.mktemp("tokenizers")
    write_tokenizers(folder, Path(__file__).resolve().parents[1] / "examples" / "pool.jsonl")
    return folder / "bytes"
