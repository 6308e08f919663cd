"""Vectors from the pool's own words; needs nothing but the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmmixup import _rust
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

VERSION = 2
"""Raised when the same text and counts would give another vector."""


class LexicalEmbedder:
    """Hashed, idf-weighted words and character n-grams with random signs.

    Args:
        dim: Dimensions, 8..=8192.
        num_threads: Threads; 0 takes all. The vectors do not depend on it.

    Raises:
        ArgumentError: `dim` is out of range.

    Notes:
        Two passes: `count` all texts, then `embed`. Linear in the bytes of the texts; 16 MiB
        and 8 MiB a thread. Vectors of two pools are comparable only where both were embedded
        after counting the same texts.

    Source:
        Ours.
    """

    def __init__(self, dim: int = 256, *, num_threads: int = 0) -> None:
        self._model = _rust.Lexical(dim)
        self._dim = dim
        self._num_threads = num_threads

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return self._dim

    def identity(self) -> dict[str, Any]:
        """Version, dimensions and a digest of the word counts."""
        return {
            "embedder": "lexical",
            "version": VERSION,
            "dim": self._dim,
            "counts": self._model.digest(),
        }

    def count(self, texts: pa.Array | pa.ChunkedArray, reporter: Reporter = SILENT) -> None:
        """Counts in how many of the texts each word is; may be called often, in any order."""
        self._model.count(texts, self._num_threads, reporter)

    def embed(self, texts: pa.Array | pa.ChunkedArray, reporter: Reporter = SILENT) -> np.ndarray:
        """Vectors of (N,) texts, weighted by all that was counted: (N, D) float32."""
        return self._model.embed(texts, self._num_threads, reporter)
