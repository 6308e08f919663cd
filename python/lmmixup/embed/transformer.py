"""Models of sentence-transformers, such as the paper's BAAI/bge-m3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import DataError, LmmixupError
from lmmixup.stage import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmmixup.embed.config import EmbedConfig
    from lmmixup.progress import Reporter

CHUNK_BATCHES = 16
"""Batches after which vectors are handed over, and so kept."""


class TransformerEmbedder:
    """A sentence-transformers model, on a GPU where there is one.

    Args:
        config: Kind `st`; its argument is a folder or a name on the Hugging Face Hub.

    Raises:
        LmmixupError: The extra `embed` is not installed, or the model cannot be loaded.

    Notes:
        Texts go through the model by length, longest first, so that little is padded. The
        vectors of one text differ by some 1e-6 with the texts beside it in its batch.

    Source:
        METHOD §6.
    """

    def __init__(self, config: EmbedConfig) -> None:
        try:
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415
        except ImportError as error:
            raise LmmixupError(
                f"embedder {config.embedder!r} needs sentence-transformers: "
                f"pip install 'lmmixup[embed]' ({error})"
            ) from error
        try:
            self._model = SentenceTransformer(config.argument)
        except (OSError, ValueError) as error:
            raise LmmixupError(f"{config.argument}: no such model: {error}") from error
        if config.max_text_tokens is not None:
            self._model.max_seq_length = config.max_text_tokens
        self._name = config.argument
        self._batch_size = config.batch_size
        self._dim = len(self._encode(["dimensions"])[0])

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return self._dim

    def identity(self) -> dict[str, Any]:
        """Name, the weights' digests where it is a folder, cut and dimensions."""
        folder = Path(self._name)
        weights = sorted(folder.rglob("*.safetensors")) if folder.is_dir() else []
        return {
            "embedder": "sentence-transformers",
            "model": folder.name if weights else self._name,
            "weights": [file_sha256(file) for file in weights],
            "max_text_tokens": self._model.max_seq_length,
            "dim": self._dim,
        }

    def embed_chunks(
        self,
        texts: Sequence[str],
        finished: Callable[[Sequence[int], np.ndarray], None],
        reporter: Reporter,
    ) -> None:
        """Embeds texts, longest first, and hands them over every few batches."""
        order = sorted(range(len(texts)), key=lambda row: (-len(texts[row]), row))
        step = self._batch_size * CHUNK_BATCHES
        for start in range(0, len(order), step):
            rows = order[start : start + step]
            vectors = self._encode([texts[row] for row in rows])
            if not np.isfinite(vectors).all():
                raise DataError(f"{self._name} gave NaN or infinity; nothing of it was kept")
            finished(rows, vectors)
            reporter("embed", start + len(rows), len(texts))

    def _encode(self, texts: list[str]) -> np.ndarray:
        vectors = self._model.encode(
            texts,
            batch_size=self._batch_size,
            convert_to_numpy=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, np.float32)
