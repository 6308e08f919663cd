"""Embedding contenders: a JSONL pool in, float32 vectors (N, D) out, L2-normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from contenders.dedup import read_texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., np.ndarray]


def wordllama() -> Run:
    """The wordllama package with the weights that come with it, 256 dimensions."""
    import orjson

    model = load_wordllama()

    def run(path: Path) -> np.ndarray:
        return embed_by_package(model, list(read_texts(path, orjson.loads)))

    return run


def ours_static() -> Run:
    """The same weights in lmmixup."""
    return _ours("wordllama")


def ours_lexical() -> Run:
    """Lmmixup's built-in embedder."""
    return _ours("lexical")


def _ours(name: str) -> Run:
    from lmmixup.embed import EmbedConfig, embed_pool
    from lmmixup.pool import open_pool

    def run(path: Path) -> np.ndarray:
        config = EmbedConfig(embedder=name, cache="none")
        return embed_pool(open_pool(path), config, num_threads=2).vectors_ND

    return run


def embed_by_package(model: Any, texts: list[str]) -> np.ndarray:
    """Its batches are padded to their longest text, so give it texts of like lengths together."""
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    vectors = model.embed([texts[at] for at in order], norm=True)
    out = np.empty_like(vectors)
    out[order] = vectors
    return out


def load_wordllama() -> object:
    """The package's own model, without a download."""
    import pathlib

    import wordllama as package

    folder = pathlib.Path(package.__file__).parent
    return package.WordLlama.load(cache_dir=folder, disable_download=True)
