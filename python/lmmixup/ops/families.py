"""Families of duplicates: exact, by an exact join, by MinHash."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from lmmixup import _rust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt
    import pyarrow as pa

    from lmmixup.ops import OnProgress
    from lmmixup.pool.sources import Store

    Records: TypeAlias = Iterable[pa.RecordBatch] | "Feed"

Shingle = Literal["auto", "word", "char"]
Normalize = Literal["lower", "nfkc", "raw"]


@runtime_checkable
class Feed(Protocol):
    """Records that go to a store in Rust without Arrow in between, such as a `Pool`."""

    def feed(self, store: Any, *, num_threads: int = 0, reporter: Any = ...) -> None:
        """Gives every record to the store."""


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
        similarity: (N,) float64, that of the two: Jaccard in 0 to 1, or the cosine; NaN for a
            kept record.
        same_text: (N,) bool, whether the two have the same normalised text.
        num_families: Number of families, singletons included.
        figures: What a method has to say of itself, such as the recall that it measured.
    """

    family: npt.NDArray[np.uint32]
    kept: npt.NDArray[np.bool_]
    partner: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float64]
    same_text: npt.NDArray[np.bool_]
    num_families: int
    figures: dict[str, Any] = field(default_factory=dict)


def exact_families(
    batches: Records,
    *,
    normalize: Normalize = "lower",
    rule: KeepRule | None = None,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> Families:
    """Families of records with equal prompts and equal completions.

    Args:
        batches: Records with string columns `prompt`, `completion` and, for ties, `id`; or a
            `Pool`, which is read faster.
        normalize: `raw` compares bytes; `lower` lower-case texts with one space for each run
            of white space; `nfkc` the same after Unicode NFKC.
        rule: Which record of a family stays.
        num_threads: Threads; 0 takes all cores. The result is the same at any number.
        on_progress: Called with (phase, done, total) while a `Pool` is read.

    Returns:
        The families.

    Raises:
        DataError: A batch lacks a column.

    Notes:
        O(N log N) and 32 bytes a record; batches are not kept. Equality is that of 128-bit
        hashes: the probability that any of N different records are taken for equal is at most
        N^2 / 2^129, 1.5e-27 for a million and 1.5e-21 for a thousand million.

    Source:
        Ours.

    Example:
        >>> import pyarrow as pa
        >>> batch = pa.record_batch({"prompt": ["a", "A ", "b"], "completion": ["", "", ""]})
        >>> exact_families([batch]).family.tolist()
        [0, 0, 1]
    """
    pool = _rust.ExactPool(normalize)
    fill(pool, batches, num_threads, on_progress)
    return Families(*pool.families((rule or KeepRule()).resolve(), num_threads))


def near_families(
    batches: Records,
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
        batches: As in `exact_families`.
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
    pool = read_texts(
        batches, shingle, shingle_size, normalize, num_threads, on_progress=on_progress
    )
    pool.seal()
    families, _ = _rust.near_families(
        pool, threshold, (rule or KeepRule()).resolve(), earlier, num_threads, on_progress
    )
    return Families(*families)


def minhash_families(
    batches: Records,
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
    pool = read_texts(
        batches, shingle, shingle_size, normalize, num_threads, on_progress=on_progress
    )
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


def fill(
    store: Store, batches: Records, num_threads: int, on_progress: OnProgress | None = None
) -> None:
    """Gives all records to a store."""
    if isinstance(batches, Feed):
        batches.feed(store, num_threads=num_threads, reporter=on_progress or _silent)
        return
    for batch in batches:
        store.push(batch, num_threads)


def _silent(phase: str, done: int, total: int) -> None:
    pass


def read_texts(
    batches: Records,
    shingle: Shingle,
    shingle_size: int,
    normalize: Normalize,
    num_threads: int,
    *,
    on_progress: OnProgress | None = None,
) -> _rust.TextPool:
    """The records' texts as sets of shingles."""
    pool = _rust.TextPool(shingle, shingle_size, normalize)
    fill(pool, batches, num_threads, on_progress)
    return pool
