"""Embedding contenders: a JSONL pool in, float32 vectors (N, D) out, L2-normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contenders.dedup import read_texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    Run = Callable[..., np.ndarray]


def wordllama() -> Run:
    """The wordllama package with the weights that come with it, 256 dimensions."""
    import orjson

    model = load_wordllama()

    def run(path: Path) -> np.ndarray:
        return model.embed(list(read_texts(path, orjson.loads)), norm=True)

    return run


def ours_static() -> Run:
    """The same weights in lmmixup."""
    return _ours("wordllama")


def ours_lexical() -> Run:
    """Lmmixup's built-in embedder."""
    return _ours("lexical")


def _ours(name: str) -> Run:
    from lmmixup.embed import embed_texts
    from lmmixup.pool import open_pool

    def run(path: Path) -> np.ndarray:
        texts = []
        for batch in open_pool([path]).batches(["prompt", "completion"]):
            pairs = zip(batch["prompt"].to_pylist(), batch["completion"].to_pylist(), strict=True)
            texts += [f"{prompt}\n{completion}" for prompt, completion in pairs]
        return embed_texts(texts, name, num_threads=2)

    return run


def load_wordllama() -> object:
    """The package's own model, without a download."""
    import pathlib

    import wordllama as package

    folder = pathlib.Path(package.__file__).parent
    return package.WordLlama.load(cache_dir=folder, disable_download=True)
