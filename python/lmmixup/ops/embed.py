"""Vectors of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmmixup import _rust

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lmmixup.ops import OnProgress


def embed_lexical(
    texts: pa.Array | pa.ChunkedArray,
    *,
    dim: int = 256,
    fit_on: pa.Array | pa.ChunkedArray | None = None,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> npt.NDArray[np.float32]:
    """Vectors from hashed, idf-weighted words and character n-grams.

    Args:
        texts: (N,) strings of any Arrow string type; a null counts as empty.
        dim: D, 8..=8192.
        fit_on: Texts whose words are counted for the weights; `None` takes `texts`. Vectors of
            two pools are comparable where both were made with the same `fit_on`.
        num_threads: Threads; 0 takes all.
        on_progress: Called with phase, done and total some ten times a second.

    Returns:
        (N, D) float32, rows of length 1; a zero row for a text without a visible character.

    Raises:
        ArgumentError: `dim` is out of range.
        DataError: `texts` is not a string column.

    Notes:
        Two passes, linear in the bytes; the same bits at any number of threads.

    Source:
        Ours; docs/decisions/0004-embeddings.md.

    Example:
        >>> import pyarrow as pa
        >>> from lmmixup import ops
        >>> ops.embed_lexical(pa.array(["two cats", "a cat", ""])).shape
        (3, 256)
    """
    model = _rust.Lexical(dim)
    model.count(texts if fit_on is None else fit_on, num_threads, on_progress)
    return model.embed(texts, num_threads, on_progress)


def embed_static(
    texts: pa.Array | pa.ChunkedArray,
    *,
    tokenizer: str | Path,
    weights: str | Path,
    max_text_tokens: int | None = None,
    drop_unknown: bool = False,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> npt.NDArray[np.float32]:
    """Vectors from a static model: the mean of a text's token vectors.

    Args:
        texts: (N,) strings of any Arrow string type; a null counts as empty.
        tokenizer: A `tokenizer.json`.
        weights: A safetensors file with `embeddings` (model2vec, with its `weights` and
            `mapping`) or `embedding.weight` (wordllama).
        max_text_tokens: Tokens of a text that count, at least 1; `None` takes all.
        drop_unknown: Leave out the unknown token, as model2vec does.
        num_threads: Threads; 0 takes all.
        on_progress: Called with phase, done and total some ten times a second.

    Returns:
        (N, D) float32, rows of length 1; a zero row for a text without a token.

    Raises:
        FileError: A file cannot be read.
        DataError: A file or `texts` is not what it should be.

    Notes:
        Linear in the bytes; the same bits at any number of threads.

    Source:
        Ours; the form of model2vec and wordllama.

    Example:
        >>> from lmmixup import ops
        >>> ops.embed_static(texts, tokenizer="m/tokenizer.json",
        ...                  weights="m/model.safetensors")  # doctest: +SKIP
    """
    model = _rust.StaticModel(tokenizer, weights, max_text_tokens, drop_unknown)
    return model.embed(texts, num_threads, on_progress)
