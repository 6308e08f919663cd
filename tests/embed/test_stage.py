"""The embed stage: its files, its dtypes, and reading back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from lmmixup.embed import EmbedConfig, embed_pool, embed_texts, read_vectors, run
from lmmixup.errors import ArgumentError, DataError, FileError
from lmmixup.pool import open_pool

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pool_file(tmp_path: Path) -> Path:
    rows = [
        {"id": f"r{row}", "prompt": f"question {row} about cats", "completion": f"réponse {row}"}
        for row in range(50)
    ]
    rows.append({"id": "empty", "prompt": "", "completion": ""})
    path = tmp_path / "pool.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_writes_records_and_vectors_in_one_order(pool_file: Path, tmp_path: Path) -> None:
    result = run(open_pool([str(pool_file)]), EmbedConfig(), output=tmp_path / "out")
    records = pq.read_table(tmp_path / "out" / "data.parquet")
    back = read_vectors(tmp_path / "out")
    assert back.ids.to_pylist() == records.column("id").to_pylist()
    texts = [f"{row['prompt']}\n{row['completion']}" for row in records.to_pylist()]
    np.testing.assert_array_equal(back.vectors_ND, embed_texts(texts))
    assert result.counts["input"] == result.counts["kept"] == len(records)
    assert result.figures["dimensions"] == 256
    assert back.identity == result.figures["identity"]


@pytest.mark.parametrize(("dtype", "error"), [("f32", 0.0), ("f16", 1e-3), ("i8", 5e-3)])
def test_dtypes_read_back(pool_file: Path, tmp_path: Path, dtype: str, error: float) -> None:
    config = EmbedConfig(dtype=dtype)  # type: ignore[arg-type]
    run(open_pool([str(pool_file)]), config, output=tmp_path / "out")
    exact = embed_pool(open_pool([str(pool_file)]), EmbedConfig()).vectors_ND
    back = read_vectors(tmp_path / "out").vectors_ND
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, exact, atol=error, rtol=0)
    assert (tmp_path / "out" / "scales.npy").exists() == (dtype == "i8")


def test_same_bytes_at_any_number_of_threads(pool_file: Path, tmp_path: Path) -> None:
    for num_threads in (1, 2, 7):
        run(open_pool([str(pool_file)]), EmbedConfig(), output=tmp_path / str(num_threads),
            num_threads=num_threads)  # fmt: skip
    for name in ("vectors.npy", "data.parquet"):
        assert len({(tmp_path / folder / name).read_bytes() for folder in "127"}) == 1


def test_a_result_folder_gives_vectors_to_the_next_stage(pool_file: Path, tmp_path: Path) -> None:
    run(open_pool([str(pool_file)]), EmbedConfig(), output=tmp_path / "out")
    again = embed_pool(open_pool([str(pool_file)]), EmbedConfig(vectors=tmp_path / "out"))
    first = embed_pool(open_pool([str(pool_file)]), EmbedConfig())
    np.testing.assert_allclose(again.vectors_ND, first.vectors_ND, atol=1e-6)
    assert again.identity == first.identity


def test_reading_back_says_what_is_wrong(pool_file: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="expected a result of `lmmixup embed`"):
        read_vectors(tmp_path)
    run(open_pool([str(pool_file)]), EmbedConfig(), output=tmp_path / "out")
    np.save(tmp_path / "out" / "vectors.npy", np.zeros((3, 8), np.float32))
    with pytest.raises(DataError, match=r"shape \(3, 8\)"):
        read_vectors(tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"embedder": "bert"}, "unknown embedder 'bert'"),
        ({"embedder": "st"}, "needs a name: st:MODEL"),
        ({"embedder": "lexical:x"}, "takes no name"),
        ({"embedder": "wordllama", "vectors": "v.npy"}, "give one of them"),
        ({"base_url": "http://x"}, "base_url is for openai"),
    ],
)
def test_config_says_what_is_wrong(given: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EmbedConfig(**given)  # type: ignore[arg-type]


def test_texts_need_an_embedder() -> None:
    with pytest.raises(ArgumentError, match="not an embedder"):
        embed_texts(["a"], "npy:v.npy")
