"""Static models: the same tokens and vectors as the packages they come from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from lmmixup import _rust, ops
from lmmixup.embed import EmbedConfig, make_embedder
from lmmixup.embed.static import wordllama_files
from lmmixup.errors import DataError, FileError, LmmixupError

if TYPE_CHECKING:
    from pathlib import Path

ODD = [
    "",
    " ",
    "  two  spaces  ",
    "▁already ▁marked▁",
    "a special <s> token </s> inside <unk>",
    "line\nbreaks\r\n\n\ttabs",
    "我爱自然语言处理, mixed with English",
    "🙂🙃 emoji, ﬁ ligature, e\u0301",
    "\x00\x01 control",
    "x" * 5000,
    "for i in range(10):\n        print(i)",
]


@pytest.fixture(scope="module")
def files() -> tuple[Path, Path]:
    try:
        return wordllama_files()
    except LmmixupError as error:
        pytest.skip(str(error))


def test_vectors_are_those_of_the_wordllama_package(real_texts: pa.Array) -> None:
    wordllama = pytest.importorskip("wordllama", reason="the package wordllama is not installed")
    peer = wordllama.WordLlama.load(disable_download=True, cache_dir=wordllama.__path__[0])
    texts = [*real_texts[:2000].to_pylist(), *ODD[1:]]
    expected = peer.embed(texts, norm=True)
    given = make_embedder(EmbedConfig(embedder="wordllama")).embed(pa.array(texts))
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_tokens_are_those_of_the_tokenizers_package(
    files: tuple[Path, Path], real_texts: pa.Array
) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="the package tokenizers is missing")
    peer = tokenizers.Tokenizer.from_file(str(files[0]))
    model = _rust.StaticModel(*files)
    for text in [*ODD, *real_texts[:2000].to_pylist()]:
        expected = peer.encode(text, add_special_tokens=False).ids
        assert model.tokenize(text).tolist() == expected, text


def test_same_bits_at_any_number_of_threads(files: tuple[Path, Path], real_texts: pa.Array) -> None:
    model = _rust.StaticModel(*files)
    one = model.embed(real_texts, 1)
    for num_threads in (2, 7):
        np.testing.assert_array_equal(one, model.embed(real_texts, num_threads))
        np.testing.assert_array_equal(one, _rust.StaticModel(*files).embed(real_texts, num_threads))


def test_text_without_tokens_is_a_zero_vector(files: tuple[Path, Path]) -> None:
    tokenizer, weights = files
    vectors = ops.embed_static(pa.array(["", None, "a"]), tokenizer=tokenizer, weights=weights)
    assert vectors.any(axis=1).tolist() == [False, False, True]


VOCABULARY = ["[UNK]", "the", "cat", "##s", "sat", "on", "mat", "运", "动"]


def model2vec_folder(folder: Path, **tensors: np.ndarray) -> Path:
    """A model2vec folder with a WordPiece tokenizer and random vectors."""
    numpy_files = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": 0, "content": "[UNK]", "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": True}
        ],
        "normalizer": {"type": "BertNormalizer", "clean_text": True,
                       "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100,
                  "vocab": {token: row for row, token in enumerate(VOCABULARY)}},
    }  # fmt: skip
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text(json.dumps({"normalize": True}))
    numpy_files.save_file(tensors, folder / "model.safetensors")
    return folder


def random_vectors(rows: int = len(VOCABULARY)) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(rows, 24)).astype(np.float32)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"weights": np.linspace(0.1, 2, len(VOCABULARY), dtype=np.float32)},
        {
            "embeddings": random_vectors(4),
            "mapping": np.array([0, 1, 2, 3, 0, 1, 2, 3, 0]),
            "weights": np.linspace(0.1, 2, len(VOCABULARY), dtype=np.float32),
        },
    ],
    ids=["plain", "weights", "mapping"],
)
def test_vectors_are_those_of_model2vec(tmp_path: Path, extra: dict[str, np.ndarray]) -> None:
    model2vec = pytest.importorskip("model2vec", reason="the package model2vec is not installed")
    folder = model2vec_folder(tmp_path / "m", **{"embeddings": random_vectors(), **extra})
    texts = ["The cats sat on the mat", "dog", "", "cat 运动 THE", "cat " * 3000]
    expected = model2vec.StaticModel.from_pretrained(folder).encode(texts, normalize=True)
    given = make_embedder(EmbedConfig(embedder=f"static:{folder}")).embed(pa.array(texts))
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_max_text_tokens_cuts(tmp_path: Path) -> None:
    folder = model2vec_folder(tmp_path / "m", embeddings=random_vectors())
    config = EmbedConfig(embedder=f"static:{folder}", max_text_tokens=1)
    vectors = make_embedder(config).embed(pa.array(["cat sat", "cat"]))
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"expected a static model with tokenizer\.json"):
        make_embedder(EmbedConfig(embedder=f"static:{tmp_path}"))
    folder = model2vec_folder(tmp_path / "m", embeddings=random_vectors())
    (folder / "model.safetensors").write_bytes(b"not it")
    with pytest.raises(DataError, match="expected a safetensors file"):
        make_embedder(EmbedConfig(embedder=f"static:{folder}"))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match=r"expected a tokenizer\.json"):
        make_embedder(EmbedConfig(embedder=f"static:{folder}"))
    bad = random_vectors()
    bad[3, 2] = np.nan
    folder = model2vec_folder(tmp_path / "nan", embeddings=bad)
    with pytest.raises(DataError, match="NaN or infinity in row 3"):
        make_embedder(EmbedConfig(embedder=f"static:{folder}"))
