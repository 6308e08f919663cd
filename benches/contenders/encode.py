"""Tokenizers alone: texts in memory in, flat ids out, one thread, the first pass of a process.

Each gets a Python list of texts, `ours_arrow` an Arrow array, and gives ids and offsets. The
tokenizer is opened and the texts are read before the clock starts.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from contenders import tokenize

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIRST_TEXTS = 20_000
"""Texts for the older Hugging Face tokenizers, which would take minutes for all."""


def read_texts(path: Path) -> list[str]:
    """What is said in every turn of a file of chats."""
    import orjson

    with path.open("rb") as file:
        rows = [orjson.loads(line)["messages"] for line in file]
    return [turn["content"] for row in rows for turn in row]


class Alone:
    """A tokenizer whose native batch call is timed; what it gave is made flat after the clock."""

    def __init__(
        self, opened: Callable[[str], Callable[[Any], Any]], flat: Callable[[Any], tokenize.Flat]
    ) -> None:
        self.opened, self.flat = opened, flat

    def prepare(self, path: Path, tokenizer: str) -> Callable[[], Any]:
        """Reads the texts, opens the tokenizer; gives the call to time."""
        texts, encode = self.read(path), self.opened(tokenizer)
        return lambda: partial(self.told, encode(texts))

    def read(self, path: Path) -> Any:
        """The texts, as the call takes them."""
        return read_texts(path)

    def told(self, made: Any) -> np.ndarray:
        """Number of ids and texts, and a sum that tells ids and their places apart."""
        ids, offsets = self.flat(made)
        ids = np.asarray(ids).view(np.uint32).astype(np.uint64)
        places = np.arange(len(ids), dtype=np.uint64) % np.uint64(1009) + np.uint64(1)
        return np.array(
            [len(ids), len(offsets) - 1, int(np.sum(ids * places) % np.uint64(1 << 53))]
        )


class AloneArrow(Alone):
    """One that takes Arrow."""

    def read(self, path: Path) -> Any:
        """The texts as an Arrow array."""
        import pyarrow as pa

        return pa.array(read_texts(path), pa.large_string())


class AloneFirst(Alone):
    """One that is too slow for all of the texts."""

    def read(self, path: Path) -> Any:
        """The first texts."""
        return read_texts(path)[:FIRST_TEXTS]


def open_ours(path: str) -> Callable[[Any], Any]:
    from lmmixup.tokenize import Tokenizer

    return partial(Tokenizer(path).encode_batch, num_threads=1)


def ours() -> Alone:
    """`Tokenizer.encode_batch` of a list."""
    return Alone(open_ours, lambda made: made)


def ours_arrow() -> Alone:
    """`Tokenizer.encode_batch` of an Arrow array."""
    return AloneArrow(open_ours, lambda made: made)


def snaptokens() -> Alone:
    """`encode_batch_flat`."""

    def opened(path: str) -> Callable[[Any], Any]:
        import snaptokens as peer

        return peer.Tokenizer.from_file(f"{path}/tokenizer.json").encode_batch_flat

    return Alone(opened, tokenize.snaptokens_flat)


def gigatoken() -> Alone:
    """`encode_batch` to an awkward array."""

    def opened(path: str) -> Callable[[Any], Any]:
        import gigatoken as peer

        tokenizer = peer.Tokenizer(f"{path}/tokenizer.json")
        return partial(tokenizer.encode_batch, parallel=False)

    return Alone(opened, tokenize.gigatoken_flat)


def fastokens() -> Alone:
    """`encode_batch` to encodings, whose ids are read after the clock."""

    def opened(path: str) -> Callable[[Any], Any]:
        import fastokens as peer

        return peer.Tokenizer.from_file(f"{path}/tokenizer.json").encode_batch

    return Alone(opened, tokenize.encodings_flat)


def open_hugging_face(path: str) -> Callable[[Any], Any]:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return tokenize.hf_batch(tokenize.hf_tokenizer(path))


def hf_newer() -> Alone:
    """Hugging Face tokenizers 1.0."""
    tokenize.use_newer_tokenizers()
    return Alone(open_hugging_face, tokenize.encodings_flat)


def hf_older() -> Alone:
    """Hugging Face tokenizers 0.23, on the first texts."""
    return AloneFirst(open_hugging_face, tokenize.encodings_flat)
