"""Static models: folders written by model2vec, and the weights inside the wordllama package."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmmixup import _rust
from lmmixup.errors import FileError, LmmixupError
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import file_sha256

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from lmmixup.embed.config import EmbedConfig

MODEL2VEC_MAX_TOKENS = 512
"""What model2vec takes where a model's config names no `max_length`."""


class StaticEmbedder:
    """The mean of a text's token vectors, brought to length 1.

    Args:
        tokenizer: A `tokenizer.json`.
        weights: A safetensors file with `embeddings` or `embedding.weight`, maybe `weights`
            and `mapping`.
        max_text_tokens: Tokens that count; `None` takes all.
        drop_unknown: Leave out the unknown token.
        num_threads: Threads; 0 takes all. The vectors do not depend on it.

    Raises:
        FileError: A file cannot be read.
        DataError: A file is not what it should be.

    Notes:
        The tokens are those of the Python package `tokenizers`; the vectors agree with the
        model's own package to 1e-5. Linear in the bytes.

    Source:
        Ours.
    """

    def __init__(
        self,
        tokenizer: Path,
        weights: Path,
        *,
        max_text_tokens: int | None = None,
        drop_unknown: bool = False,
        num_threads: int = 0,
    ) -> None:
        self._model = _rust.StaticModel(tokenizer, weights, max_text_tokens, drop_unknown)
        self._num_threads = num_threads
        self._identity = {
            "embedder": "static",
            "tokenizer": file_sha256(tokenizer),
            "weights": file_sha256(weights),
            "max_text_tokens": max_text_tokens,
            "drop_unknown": drop_unknown,
            "dim": self._model.dim,
        }

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return self._model.dim

    def identity(self) -> dict[str, Any]:
        """Digests of both files, and how texts are cut."""
        return dict(self._identity)

    def embed(self, texts: pa.Array | pa.ChunkedArray, reporter: Reporter = SILENT) -> np.ndarray:
        """Vectors of (N,) texts: (N, D) float32."""
        return self._model.embed(texts, self._num_threads, reporter)


def static_embedder(config: EmbedConfig, *, num_threads: int = 0) -> StaticEmbedder:
    """The embedder of `wordllama` or `static:FOLDER`.

    Args:
        config: Names the model.
        num_threads: Threads; 0 takes all.

    Raises:
        LmmixupError: The package wordllama is not installed.
        FileError: The folder has not the files of a static model.
    """
    if config.kind == "wordllama":
        tokenizer, weights = wordllama_files()
        return StaticEmbedder(
            tokenizer, weights, max_text_tokens=config.max_text_tokens, num_threads=num_threads
        )
    folder = Path(config.argument)
    tokenizer, weights = folder / "tokenizer.json", folder / "model.safetensors"
    for file in (tokenizer, weights):
        if not file.is_file():
            raise FileError(
                f"{folder}: expected a static model with {file.name}; hint: save one with "
                "model2vec's `model.save_pretrained(folder)`"
            )
    return StaticEmbedder(
        tokenizer,
        weights,
        max_text_tokens=config.max_text_tokens or _max_length(folder / "config.json"),
        drop_unknown=True,
        num_threads=num_threads,
    )


def wordllama_files() -> tuple[Path, Path]:
    """Tokenizer and weights inside the installed wordllama package, which is not imported.

    Raises:
        LmmixupError: It is not installed, or another version than those known here.
    """
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise LmmixupError(
            "embedder wordllama needs the package with its weights: pip install wordllama"
        )
    folder = Path(spec.origin).parent
    tokenizer = folder / "tokenizers" / "l2_supercat_tokenizer_config.json"
    weights = folder / "weights" / "l2_supercat_256.safetensors"
    for file in (tokenizer, weights):
        if not file.is_file():
            raise LmmixupError(f"wordllama at {folder} has no {file.name}; version 0.4 is known")
    return tokenizer, weights


def _max_length(config: Path) -> int | None:
    if not config.is_file():
        return MODEL2VEC_MAX_TOKENS
    max_length: int | None = json.loads(config.read_text()).get("max_length", MODEL2VEC_MAX_TOKENS)
    return max_length
