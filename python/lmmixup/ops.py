"""The one seam where an operation meets its backend.

Every function here takes and gives NumPy or Arrow arrays, checks what Rust cannot say well,
and calls the compiled module. `lmmixup.reference` holds the plain truth of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lmmixup import _rust
from lmmixup.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

    OnProgress = Callable[[str, int, int], None]

Shingle = Literal["auto", "word", "char"]
Normalize = Literal["lower", "nfkc", "raw"]


@dataclass(frozen=True)
class KeepRule:
    """The order in which the records of a family are taken.

    Records of equal priority are ordered by length or position; then by a hash of their
    text and one of their `id`, so that the input order does not matter.

    Attributes:
        priority: (N,) int64, lower first; or a function that gives it once all records were
            read; `None` where there is none.
        longest: Longer texts (bytes) first; otherwise records that came earlier.
        one: Keep only the first of each family, however unlike it the others are.
        num_frozen: So many records at the start are kept whatever they are.
    """

    priority: npt.NDArray[np.int64] | Callable[[], npt.NDArray[np.int64] | None] | None = None
    longest: bool = True
    one: bool = False
    num_frozen: int = 0

    def resolve(self) -> dict[str, Any]:
        """The rule as the compiled functions take it."""
        priority = self.priority() if callable(self.priority) else self.priority
        if priority is not None:
            priority = np.ascontiguousarray(priority, np.int64)
        return {
            "priority": priority,
            "longest": self.longest,
            "one": self.one,
            "num_frozen": self.num_frozen,
        }


@dataclass(frozen=True)
class Families:
    """What became of each of N records, in the order they came.

    Attributes:
        family: (N,) uint32, number of the record's family; families are numbered by their
            first record.
        kept: (N,) bool.
        partner: (N,) int32, for a dropped record the kept one it lost against, else -1.
        similarity: (N,) float64 in 0 to 1, that of the two; NaN for a kept record.
        same_text: (N,) bool, whether the two have the same normalised text.
        num_families: Number of families, singletons included.
    """

    family: npt.NDArray[np.uint32]
    kept: npt.NDArray[np.bool_]
    partner: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float64]
    same_text: npt.NDArray[np.bool_]
    num_families: int


@dataclass(frozen=True)
class Matches:
    """Best matches of the N records of one pool in another.

    Attributes:
        container: (N,) int32, the record of the other pool with the highest containment, -1
            where nothing is shared.
        containment: (N,) float64 in 0 to 1.
        nearest: (N,) int32, the record with the highest Jaccard similarity, or -1.
        jaccard: (N,) float64 in 0 to 1.
    """

    container: npt.NDArray[np.int32]
    containment: npt.NDArray[np.float64]
    nearest: npt.NDArray[np.int32]
    jaccard: npt.NDArray[np.float64]


def exact_families(
    batches: Iterable[pa.RecordBatch],
    *,
    normalize: Normalize = "lower",
    rule: KeepRule | None = None,
    num_threads: int = 0,
) -> Families:
    """Families of records with equal prompts and equal completions.

    Args:
        batches: Records with string columns `prompt`, `completion` and, for ties, `id`.
        normalize: `raw` compares bytes; `lower` lower-case texts with one space for each run
            of white space; `nfkc` the same after Unicode NFKC.
        rule: Which record of a family stays.
        num_threads: Threads; 0 takes all cores. The result is the same at any number.

    Returns:
        The families.

    Raises:
        DataError: A batch lacks a column.

    Notes:
        O(N log N) and 32 bytes a record; batches are not kept. Equality is that of 128-bit
        hashes.

    Source:
        Ours.

    Example:
        >>> import pyarrow as pa
        >>> batch = pa.record_batch({"prompt": ["a", "A ", "b"], "completion": ["", "", ""]})
        >>> exact_families([batch]).family.tolist()
        [0, 0, 1]
    """
    pool = _rust.ExactPool(normalize)
    for batch in batches:
        pool.push(batch, num_threads)
    return Families(*pool.families((rule or KeepRule()).resolve(), num_threads))


def near_families(
    batches: Iterable[pa.RecordBatch],
    *,
    threshold: float = 0.7,
    shingle: Shingle = "auto",
    shingle_size: int = 5,
    normalize: Normalize = "lower",
    rule: KeepRule | None = None,
    earlier: npt.NDArray[np.int64] | None = None,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> Families:
    """Families of records whose shingle sets have Jaccard similarity >= threshold, exactly.

    Args:
        batches: Records with string columns `prompt`, `completion` and, for ties, `id`.
        threshold: In (0, 1].
        shingle: Tokens are words (runs of non-white-space), characters, or `auto`: words,
            and single characters of scripts that are written without spaces.
        shingle_size: Tokens of a shingle, 1 to 64.
        normalize: `lower` (as `str.lower`), `nfkc` and then lower-case, or `raw`.
        rule: Which records of a family stay.
        earlier: (N,) int64; records with the same number >= 0 are one family from the start.
        num_threads: Threads; 0 takes all cores. The result is the same at any number.
        on_progress: Called with (phase, done, total) every 100 ms.

    Returns:
        The families.

    Raises:
        DataError: A batch lacks a column.
        ArgumentError: An argument is outside its range.

    Notes:
        Recall 1 and no false drops; only a collision of 64-bit hashes of tokens or shingles
        could make a similarity wrong. Time grows almost linearly, memory is some 2.2 bytes a
        word and at its peak twice that.

    Source:
        Ours; prefix filtering after Chaudhuri et al. 2006 and Bayardo et al. 2007, bitmaps
        after Sandes et al. 2020.

    Example:
        >>> import pyarrow as pa
        >>> texts = ["one two three four five six", "One two three four five six", "else"]
        >>> batch = pa.record_batch({"prompt": texts, "completion": ["seven", "seven.", ""]})
        >>> near_families([batch], threshold=0.5).partner.tolist()
        [1, -1, -1]
    """
    pool = _read_texts(batches, shingle, shingle_size, normalize, num_threads)
    pool.seal()
    families, _ = _rust.near_families(
        pool, threshold, (rule or KeepRule()).resolve(), earlier, num_threads, on_progress
    )
    return Families(*families)


def minhash_families(
    batches: Iterable[pa.RecordBatch],
    *,
    threshold: float = 0.7,
    shingle: Shingle = "auto",
    shingle_size: int = 5,
    normalize: Normalize = "lower",
    num_perm: int = 128,
    bands_and_rows: tuple[int, int] | None = None,
    verify: bool = True,
    seed: int = 0,
    rule: KeepRule | None = None,
    earlier: npt.NDArray[np.int64] | None = None,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> Families:
    """Families of records that MinHash with banding finds alike.

    Args:
        batches: As in `near_families`, like the arguments not named here.
        threshold: In (0, 1].
        shingle: See `near_families`.
        shingle_size: See `near_families`.
        normalize: See `near_families`.
        num_perm: Number of hash functions, 1 to 4096.
        bands_and_rows: Bands and rows of a band, their product at most `num_perm`; `None`
            takes the most rows that find 95 % of the pairs exactly at the threshold.
        verify: Compare each candidate pair exactly. Without it one record of each family
            stays, whatever the similarities are.
        seed: Draws the hash functions.
        rule: See `near_families`.
        earlier: See `near_families`.
        num_threads: See `near_families`.
        on_progress: See `near_families`.

    Returns:
        The families; similarities are exact in either case.

    Raises:
        DataError: A batch lacks a column.
        ArgumentError: An argument is outside its range.

    Notes:
        O(words * num_perm). Deterministic for a seed.

    Source:
        Broder 1997; Indyk and Motwani 1998.

    Example:
        >>> import pyarrow as pa
        >>> batch = pa.record_batch({"prompt": ["a b c d e f"] * 2, "completion": ["", "g"]})
        >>> minhash_families([batch], threshold=0.6).kept.tolist()
        [False, True]
    """
    pool = _read_texts(batches, shingle, shingle_size, normalize, num_threads)
    pool.seal()
    options = {
        "num_perm": num_perm,
        "bands_and_rows": bands_and_rows,
        "verify": verify,
        "seed": seed,
    }
    rule_items = (rule or KeepRule()).resolve()
    return Families(
        *_rust.minhash_families(
            pool, threshold, options, rule_items, earlier, num_threads, on_progress
        )
    )


def matches(
    other: Iterable[pa.RecordBatch],
    pool: Iterable[pa.RecordBatch],
    *,
    shingle: Shingle = "auto",
    shingle_size: int = 5,
    normalize: Normalize = "lower",
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[Matches, Matches]:
    """How much of each record of `other` is in a record of `pool`.

    Args:
        other: Records as in `near_families`, such as an evaluation set.
        pool: Records as in `near_families`.
        shingle: See `near_families`.
        shingle_size: See `near_families`.
        normalize: See `near_families`.
        num_threads: See `near_families`.
        on_progress: See `near_families`.

    Returns:
        The matches of `other`'s records, and those of `pool`'s. Containment is the share of
        the *other* record's shingles that the pool's record has, in both.

    Raises:
        DataError: A batch lacks a column.
        ArgumentError: An argument is outside its range.

    Notes:
        Exact but for 64-bit hash collisions; the same at any number of threads. A record
        with fewer tokens than a shingle is found only where the other's whole text is equal.

    Source:
        Ours.

    Example:
        >>> import pyarrow as pa
        >>> question = pa.record_batch({"prompt": ["what is 2 and 2"], "completion": [""]})
        >>> long = pa.record_batch({"prompt": ["So: what is 2 and 2 ?"], "completion": ["4"]})
        >>> matches([question], [long])[0].containment.tolist()
        [1.0]
    """
    texts = _read_texts(other, shingle, shingle_size, normalize, num_threads)
    num_other = len(texts)
    for batch in pool:
        texts.push(batch, num_threads)
    texts.seal()
    of_other, of_pool = _rust.matches(texts, num_other, num_threads, on_progress)
    return Matches(*of_other), Matches(*of_pool)


def _read_texts(
    batches: Iterable[pa.RecordBatch],
    shingle: Shingle,
    shingle_size: int,
    normalize: Normalize,
    num_threads: int,
) -> _rust.TextPool:
    pool = _rust.TextPool(shingle, shingle_size, normalize)
    for batch in batches:
        pool.push(batch, num_threads)
    return pool


def embed_lexical(
    texts: pa.Array | pa.ChunkedArray,
    *,
    dim: int = 256,
    fit_on: pa.Array | pa.ChunkedArray | None = None,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> np.ndarray:
    """Vectors from hashed, idf-weighted words, word pairs and character n-grams.

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
    max_tokens: int | None = None,
    drop_unknown: bool = False,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> np.ndarray:
    """Vectors from a static model: the mean of a text's token vectors.

    Args:
        texts: (N,) strings of any Arrow string type; a null counts as empty.
        tokenizer: A `tokenizer.json`.
        weights: A safetensors file with `embeddings` (model2vec, with its `weights` and
            `mapping`) or `embedding.weight` (wordllama).
        max_tokens: Tokens of a text that count, ≥ 1; `None` takes all.
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
    model = _rust.StaticModel(tokenizer, weights, max_tokens, drop_unknown)
    return model.embed(texts, num_threads, on_progress)


@dataclass(frozen=True)
class Neighbours:
    """The nearest of each of Q queries, by cosine.

    Attributes:
        idx_QK: (Q, K) int32, nearest first, ties by lower index; -1 where there are fewer.
        sim_QK: (Q, K) float32, their cosines; 0 where there is no neighbour.
        method: What was used: `exact` or `blocks`.
        recall: Share of the true K nearest that was found, on a sample; 1.0 where exact,
            `None` where it was not measured.
        num_sampled: Rows of that sample.
    """

    idx_QK: npt.NDArray[np.int32]  # noqa: N815
    sim_QK: npt.NDArray[np.float32]  # noqa: N815
    method: Literal["exact", "blocks"]
    recall: float | None
    num_sampled: int


EXACT_UP_TO = 150_000
"""Rows up to which `knn(method="auto")` compares a pool with itself exactly."""


def knn(
    vectors_ND: npt.NDArray[np.float32],
    k: int,
    queries_QD: npt.NDArray[np.float32] | None = None,
    *,
    method: Literal["auto", "exact", "blocks"] = "auto",
    cell_size: int = 8192,
    overlap: int = 4,
    recall_sample: int = 0,
    seed: int = 0,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> Neighbours:
    """Finds the `k` nearest vectors by cosine.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, finite. Need not have length 1; a row of
            zeros (a record without text) has cosine 0 with everything.
        k: Neighbours of each query, at least 1. May exceed the pool.
        queries_QD: (Q, D) float32 likewise; `None` compares the pool with itself, and a row
            is not its own neighbour.
        method: `exact` by brute force; `blocks` by coarse cells that overlap, approximate,
            only for a pool with itself; `auto` takes `blocks` for a pool with itself of
            more than `EXACT_UP_TO` rows. The result says which it was.
        cell_size: For `blocks`, mean number of rows in a cell.
        overlap: For `blocks`, cells of a row. More of either: higher recall, more time.
        recall_sample: Rows on which the recall of `blocks` is measured; 0 does not.
        seed: Of the cells and of that sample.
        num_threads: 0 takes all cores.
        on_progress: Called with phase, units done and total, ten times a second.

    Returns:
        The neighbours, how they were found, and the measured recall.

    Raises:
        DataError: Another type, shape or memory layout, another dimension than the pool's,
            or NaN or an infinity (names the row).
        ArgumentError: `k` or an option out of range, or `blocks` with queries.

    Notes:
        `exact` costs O(Q N D), half of it for a pool with itself; integer products with a
        proved error bound sort out what cannot be near, single precision decides. `blocks`
        costs about O(N · cell_size · overlap · D). Neither has an N x N matrix; inputs are
        not copied. Same bits at any number of threads for a seed.


def most_partitionable(num_records: int, bounds: tuple[int, int]) -> int:
    """The most records that can be split into whole clusters.

    Args:
        num_records: Records there are.
        bounds: Smallest and largest size of a cluster, `1 <= min <= max`.

    Returns:
        `num_records`, or less where no number of clusters fits. O(1).

    Source:
        Ours.

    Example:
        >>> from lmmixup import ops
        >>> ops.most_partitionable(7, (4, 5))
        5
    """
    return _rust.most_partitionable(num_records, bounds)


def draw_sizes(
    num_records: int, bounds: tuple[int, int], mean: float, std: float, seed: int = 0
) -> npt.NDArray[np.uint32]:
    """Cluster sizes drawn from N(mean, std), rounded and clipped, that sum to `num_records`.

    Args:
        num_records: Their sum.
        bounds: Smallest and largest size.
        mean: Of the distribution before clipping, records.
        std: Its standard deviation, records.
        seed: Of a ChaCha8 stream.

    Returns:
        (C,) uint32.

    Raises:
        InfeasibleError: No sizes within the bounds have that sum.

    Notes:
        Always ends: a size that leaves a rest nothing can fill is not drawn. Same on every platform.

    Source:
        LM-Mixup's capacities (arXiv 2510.20449), without the sampler's endless loop.

    Example:
        >>> from lmmixup import ops
        >>> int(ops.draw_sizes(100, (2, 5), 3.0, 1.0).sum())
        100
    """
    return _rust.draw_sizes(num_records, bounds, mean, std, seed)


def cluster_graph(
    vectors_ND: npt.NDArray[np.float32],
    indices_NK: npt.NDArray[np.int32],
    similarities_NK: npt.NDArray[np.float32],
    *,
    bounds: tuple[int, int],
    mean: float,
    sizes: npt.NDArray[np.uint32] | None = None,
    min_similarity: float | None = None,
    tokens: npt.NDArray[np.uint32] | None = None,
    max_tokens: int | None = None,
    allow_leftover: bool = False,
    seed: int = 0,
    max_rounds: int = 100,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Capacity-bounded clusters along a nearest-neighbour graph.

    A seeded fill, densest records first, then moves and swaps that raise the sum over clusters
    of ||S||^2 / n.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, rows of length 1 or 0.
        indices_NK: (N, K) int32, nearest first, -1 where there are fewer, never the row itself.
        similarities_NK: (N, K) float32 cosines.
        bounds: Smallest and largest size of a cluster.
        mean: Records a cluster; their number is round(N / mean), or the nearest possible.
        sizes: (C,) uint32, exactly these sizes instead; where their sum is less than N the rest
            is left over.
        min_similarity: Least mean cosine of each record to its cluster mates, -1..1.
        tokens: (N,) uint32, for `max_tokens`.
        max_tokens: Most tokens of a cluster together.
        allow_leftover: Leave records over where N cannot be split, instead of an error.
        seed: Orders records that are equally dense.
        max_rounds: Most rounds of local search.
        num_threads: 0 takes all cores.
        on_progress: Called with (phase, done, total).

    Returns:
        labels (N,) int32 numbered by first record, -1 outside; fates (N,) uint8, see
        `lmmixup.cluster.Fate`.

    Raises:
        InfeasibleError: N cannot be split into clusters within the bounds.
        ArgumentError: A shape or range is wrong.
        DataError: A vector is not finite, or a neighbour no record.

    Notes:
        O(N K D) time; N K + C D numbers of memory. Same labels at any number of threads.

    Source:
        Ours.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> found = ops.knn(np.array([[1, 0], [0, 1], [1, 1]], np.float32), k=1)
        >>> found.idx_QK.tolist(), found.method
        ([[2], [2], [0]], 'exact')
    """
    _check_vectors("vectors", vectors_ND)
    if queries_QD is not None:
        _check_vectors("queries", queries_QD)
        if queries_QD.shape[1] != vectors_ND.shape[1]:
            raise DataError(
                f"queries must have the dimension of the pool, {vectors_ND.shape[1]}, "
                f"got {queries_QD.shape[1]}; were they made by the same embedder?"
            )
    for name, value, least in (
        ("k", k, 1),
        ("cell_size", cell_size, 1),
        ("overlap", overlap, 1),
        ("recall_sample", recall_sample, 0),
        ("num_threads", num_threads, 0),
        ("seed", seed, 0),
    ):
        if value < least:
            raise ArgumentError(f"{name} must be at least {least}, got {value}")
    if method not in ("auto", "exact", "blocks"):
        raise ArgumentError(f"method must be auto, exact or blocks, got {method!r}")
    if method == "blocks" and queries_QD is not None:
        raise ArgumentError("method blocks compares a pool with itself; use exact for queries")
    large = queries_QD is None and len(vectors_ND) > EXACT_UP_TO
    if method == "exact" or (method == "auto" and not large):
        idx_QK, sim_QK = _rust.knn_exact(
            vectors_ND, queries_QD, k, num_threads=num_threads, on_progress=on_progress
        )
        return Neighbours(idx_QK, sim_QK, "exact", 1.0, 0)
    idx_QK, sim_QK = _rust.knn_blocks(
        vectors_ND,
        k,
        cell_size=cell_size,
        overlap=overlap,


        >>> vectors = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
        >>> near = np.array([[2], [3], [0], [1]], np.int32), np.ones((4, 1), np.float32)
        >>> ops.cluster_graph(vectors, *near, bounds=(2, 2), mean=2.0)[0]
        array([0, 1, 0, 1], dtype=int32)
    """
    return _rust.cluster_graph(
        vectors_ND,
        indices_NK,
        similarities_NK,
        bounds=bounds,
        mean=mean,
        sizes=sizes,
        min_similarity=min_similarity,
        tokens=tokens,
        max_tokens=max_tokens,
        allow_leftover=allow_leftover,
        seed=seed,
        max_rounds=max_rounds,
        num_threads=num_threads,
        on_progress=on_progress,
    )


def cluster_paper(
    vectors_ND: npt.NDArray[np.float32],
    *,
    bounds: tuple[int, int],
    sizes: npt.NDArray[np.uint32],
    tokens: npt.NDArray[np.uint32] | None = None,
    max_tokens: int | None = None,
    epochs: int = 3,
    seed: int = 0,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """The paper's clusters: mini-batch k-means, then records take the nearest centre with room.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, rows of length 1 or 0.
        bounds: Smallest and largest size; a smaller cluster is dissolved.
        sizes: (C,) uint32, the room of each centre, as from `draw_sizes`.
        tokens: (N,) uint32, for `max_tokens`.
        max_tokens: Most tokens of a cluster together.
        epochs: Passes of k-means over the records.
        seed: Of k-means.
        num_threads: 0 takes all cores.
        on_progress: Called with (phase, done, total).

    Returns:
        labels and fates as of `cluster_graph`.

    Raises:
        ArgumentError: A shape or range is wrong.
        DataError: A vector is not finite.

    Notes:
        O(N C D) time, O(N + C D) memory. Same labels at any number of threads.

    Source:
        LM-Mixup (arXiv 2510.20449).
    """
    return _rust.cluster_paper(
        vectors_ND,
        bounds=bounds,
        sizes=sizes,
        tokens=tokens,
        max_tokens=max_tokens,
        epochs=epochs,
        seed=seed,
        num_threads=num_threads,
        on_progress=on_progress,
    )
    recall, num_sampled = None, 0
    if recall_sample:
        recall, num_sampled = _rust.knn_recall(
            vectors_ND,
            sim_QK,
            sample=recall_sample,
            seed=seed,
            num_threads=num_threads,
            on_progress=on_progress,
        )
    return Neighbours(idx_QK, sim_QK, "blocks", recall, num_sampled)


def _check_vectors(name: str, vectors: npt.NDArray[np.float32]) -> None:
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise DataError(f"{name} must be 2-D (N, D) with D >= 1, got shape {vectors.shape}")
    if vectors.dtype != np.float32 or not vectors.flags.c_contiguous:
        layout = "C-contiguous" if vectors.flags.c_contiguous else "strided"
        raise DataError(
            f"{name} must be C-contiguous float32, got {layout} {vectors.dtype}; "
            f"pass np.ascontiguousarray({name}, np.float32)"
        )




def cluster_mergeit(
    vectors_ND: npt.NDArray[np.float32],
    reduced_NR: npt.NDArray[np.float32] | None = None,
    *,
    bounds: tuple[int, int],
    similarity: float = 0.8,
    keep: float = 1.0,
    num_topics: int = 0,
    tokens: npt.NDArray[np.uint32] | None = None,
    max_tokens: int | None = None,
    seed: int = 0,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """MergeIT's groups: topics by k-means, a filter by facility location, groups above a cosine.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, rows of length 1 or 0.
        reduced_NR: (N, R) float32, the same records for the topics, e.g. by PCA.
        bounds: Smallest and largest size of a group; (2, 5) there.
        similarity: Cosine to the group's first record that all others exceed.
        keep: Share of each topic that the filter keeps, in (0, 1].
        num_topics: 0 takes sqrt(N / 2).
        tokens: (N,) uint32, for `max_tokens`.
        max_tokens: Most tokens of a group together.
        seed: Of k-means.
        num_threads: 0 takes all cores.
        on_progress: Called with (phase, done, total).

    Returns:
        labels and fates as of `cluster_graph`.

    Raises:
        ArgumentError: A shape or range is wrong.
        DataError: A vector is not finite.

    Notes:
        O(N^1.5 D) time. Same labels at any number of threads.

    Source:
        MergeIT (arXiv 2503.00034).
    """
    return _rust.cluster_mergeit(
        vectors_ND,
        reduced_NR,
        bounds=bounds,
        similarity=similarity,
        keep=keep,
        num_topics=num_topics,
        tokens=tokens,
        max_tokens=max_tokens,
        seed=seed,
        num_threads=num_threads,
        on_progress=on_progress,
    )


def cluster_quality(
    vectors_ND: npt.NDArray[np.float32],
    labels_N: npt.NDArray[np.int32],
    indices_NK: npt.NDArray[np.int32] | None = None,
    similarities_NK: npt.NDArray[np.float32] | None = None,
    *,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """How good clusters are.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, rows of length 1 or 0.
        labels_N: (N,) int32, -1 outside.
        indices_NK: (N, K) int32 neighbours, for the last two shares.
        similarities_NK: (N, K) float32 cosines.
        num_threads: 0 takes all cores.
        on_progress: Called with (phase, done, total).

    Returns:
        `to_centroid` and `to_mates` (N,), `cluster_pair_cosine` and `sizes` (C,),
        `centroid_mean`, `centroid_p10`, `pair_mean` over all pairs in clusters, `junk_share` (mean
        cosine to mates < 0.3), `nearest_together` and `duplicates_together` (records whose nearest
        neighbour, or one above 0.9, shares their cluster) and `random_pair_mean`. NaN where there
        is nothing to measure.

    Raises:
        ArgumentError: Shapes differ.

    Notes:
        O(N D) time for small clusters; pair cosines are exact, from ||S||^2.

    Source:
        Ours.
    """
    return _rust.cluster_quality(
        vectors_ND,
        labels_N,
        indices_NK,
        similarities_NK,
        num_threads=num_threads,
        on_progress=on_progress,
    )


def cluster_neighbours(
    vectors_ND: npt.NDArray[np.float32],
    k: int,
    *,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Exact nearest neighbours of every vector among the others, by dot product.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, rows of length 1 or 0.
        k: Neighbours each.
        num_threads: 0 takes all cores.
        on_progress: Called with (phase, done, total).

    Returns:
        indices (N, k) int32, nearest first, -1 where there are fewer; cosines (N, k) float32.

    Raises:
        DataError: A vector is not finite.

    Notes:
        O(N^2 D) time in blocks, O(N k) memory. Same result at any number of threads.

    Source:
        Ours.
    """
    indices, similarities = _rust.cluster_neighbours(
        vectors_ND, k=k, num_threads=num_threads, on_progress=on_progress
    )
    shape = (len(vectors_ND), k)
    return indices.reshape(shape), similarities.reshape(shape)
