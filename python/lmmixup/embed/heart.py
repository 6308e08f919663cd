"""From a pool to its vectors, whatever makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmmixup.embed.config import EmbedConfig
from lmmixup.embed.embedder import make_embedder
from lmmixup.embed.lexical import LexicalEmbedder
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmmixup.records import Records

COLUMNS = ("id", "prompt", "completion")
"""What embedding reads of a record."""


NO_ID = pa.array([], pa.string())


@dataclass(frozen=True)
class Embedded:
    """The vectors of a pool.

    Attributes:
        ids: (N,) ids of the records, in the pool's order.
        vectors_ND: (N, D) float32; length 1, or 0 for a record without text. Vectors that the
            user gave are brought to length 1 as well.
        identity: What made them; equal identities mean comparable vectors.
    """

    ids: pa.ChunkedArray
    vectors_ND: np.ndarray  # noqa: N815  the shape is part of the name
    identity: dict[str, Any]


def record_texts(records: pa.RecordBatch | pa.Table) -> pa.Array | pa.ChunkedArray:
    """The text of each record: prompt, newline, completion; empty where both are.

    Args:
        records: Records with string columns `prompt` and `completion`.

    Returns:
        (N,) strings.
    """
    prompt = records.column("prompt").fill_null("")
    completion = records.column("completion").fill_null("")
    return pc.binary_join_element_wise(prompt, completion, "\n")


def embed_pool(
    pool: Records,
    config: EmbedConfig,
    *,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> Embedded:
    """Vectors for all records of a pool.

    Args:
        pool: The records; read twice, first for their ids and, for `lexical`, their words.
        config: Which embedder.
        num_threads: Threads; 0 takes all. The vectors do not depend on it.
        reporter: Where progress goes.

    Returns:
        Ids and vectors in the pool's order.

    Raises:
        DataError: Given vectors do not fit the pool, or hold NaN or infinity.
        LmmixupError: A model is missing, or a server failed for good.

    Notes:
        Texts stream; the vectors and ids are held: 4 N D bytes.

    Source:
        Ours; METHOD §6 for the text of a record.
    """
    if config.kind in ("npy", "column"):
        from lmmixup.embed.given import given_vectors  # noqa: PLC0415

        return given_vectors(pool, config)
    embedder = make_embedder(config, num_threads=num_threads, reporter=reporter)
    counts = isinstance(embedder, LexicalEmbedder)
    ids: list[pa.Array] = []
    done = 0
    for records in _merged(
        pool.batches(COLUMNS if counts else COLUMNS[:1], num_threads=num_threads)
    ):
        # Copied: a slice of what a file gave would hold on to the texts beside it.
        ids.append(pa.concat_arrays([*records.column("id").chunks, NO_ID]))
        done += len(records)
        if isinstance(embedder, LexicalEmbedder):
            embedder.count(record_texts(records))
            reporter("count words", done, 0)
    vectors_ND = np.empty((done, embedder.dim), np.float32)
    done = 0
    for records in _merged(pool.batches(COLUMNS[1:], num_threads=num_threads)):
        shifted = _Shifted(reporter, done, len(vectors_ND))
        vectors_ND[done : done + len(records)] = embedder.embed(record_texts(records), shifted)
        done += len(records)
    return Embedded(pa.chunked_array(ids, pa.string()), vectors_ND, embedder.identity())


def embed_texts(
    texts: Sequence[str],
    embedder: str | EmbedConfig = "lexical",
    *,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> np.ndarray:
    """Vectors of texts that are in no pool.

    Args:
        texts: N texts.
        embedder: A spec such as `lexical` or `st:BAAI/bge-m3`, or a whole config.
        num_threads: Threads; 0 takes all. The vectors do not depend on it.
        reporter: Where progress goes.

    Returns:
        (N, D) float32.

    Raises:
        ArgumentError: The spec names vectors that exist, not an embedder.
        LmmixupError: A model is missing, or a server failed for good.

    Source:
        Ours.

    Example:
        >>> from lmmixup.embed import embed_texts
        >>> embed_texts(["two cats", "a cat"]).shape
        (2, 256)
    """
    config = EmbedConfig(embedder=embedder) if isinstance(embedder, str) else embedder
    maker = make_embedder(config, num_threads=num_threads, reporter=reporter)
    array = pa.array(texts, pa.large_string())
    if isinstance(maker, LexicalEmbedder):
        maker.count(array, reporter)
    return maker.embed(array, reporter)


class _Shifted(Reporter):
    """Each call of an embedder counts its own texts from 0; people want to see the pool's."""

    def __init__(self, inner: Reporter, before: int, total: int) -> None:
        self._inner = inner
        self._before = before
        self._total = total

    def __call__(self, phase: str, done: int, total: int) -> None:  # noqa: ARG002
        self._inner(phase, self._before + done, self._total)


MERGE_RECORDS = 16_384
"""Records that go to an embedder in one call, so that transformers can sort them by length."""


def _merged(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(len(batch) for batch in held) >= MERGE_RECORDS:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
