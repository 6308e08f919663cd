"""Library contenders: a Parquet file of rated records in, what the head weighs out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., np.ndarray]


def lexical() -> Run:
    """What the base install has, 2,048 dimensions."""
    return _build("lexical")


def wordllama() -> Run:
    """The vectors of wordllama, 256 dimensions."""
    return _build("wordllama")


def _build(embedder: str) -> Run:
    from lmmixup.library import LibraryConfig, run
    from lmmixup.pool import open_pool

    def build(path: Path, rating: str) -> np.ndarray:
        config = LibraryConfig(rating=rating, embedder=embedder)
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "library"
            run(open_pool(path), config, output=output, num_threads=2)
            return np.load(output / "head.npy")

    return build
