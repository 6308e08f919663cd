"""Records that are in a library themselves: what the library says of them without them.

Shapes: N library records, Q queries, D dimensions, K neighbours.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lmmixup.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from lmmixup import ops
    from lmmixup.ops import Neighbours, OnProgress


@dataclass(frozen=True)
class Known:
    """Which of Q records are in the library.

    Attributes:
        row_Q: (Q,) int64, the first library record with the same prompt and completion; -1 where
            there is none.
        same_N: (N,) int64, the same for each library record; its own row where it is the first.
    """

    row_Q: NDArray[np.int64]  # noqa: N815
    same_N: NDArray[np.int64]  # noqa: N815

    @property
    def rows(self) -> NDArray[np.int64]:
        """Queries that are in the library."""
        return np.flatnonzero(self.row_Q >= 0)


class Contents:
    """The prompts and completions of a library, by digest.

    Args:
        records: (N,) its records.

    Source:
        Ours.
    """

    def __init__(self, records: pa.Table) -> None:
        self._first: dict[bytes, int] = {}
        first = (self._first.setdefault(d, row) for row, d in enumerate(_digests(records)))
        self._same_N = np.fromiter(first, np.int64, len(records))

    def find(self, records: pa.Table | pa.RecordBatch) -> Known:
        """Looks records up; ids do not matter."""
        rows = (self._first.get(digest, -1) for digest in _digests(records))
        return Known(np.fromiter(rows, np.int64, len(records)), self._same_N)


def _digests(records: pa.Table | pa.RecordBatch) -> Iterator[bytes]:
    pairs = (records.column(name).fill_null("").to_pylist() for name in ("prompt", "completion"))
    for prompt, completion in zip(*pairs, strict=True):
        text = f"{len(prompt)}\n{prompt}{completion}"
        yield hashlib.blake2b(text.encode(), digest_size=16).digest()


def nearest_others(
    library: ops.Prepared,
    vectors_QD: NDArray[np.float32],
    k: int,
    known: Known | None,
    *,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> Neighbours:
    """The nearest library records of each query but those that have its own text.

    Args:
        library: The library's vectors.
        vectors_QD: (Q, D) float32.
        k: Neighbours.
        known: Which queries are in the library; `None` leaves nothing out.
        num_threads: 0 takes all cores.
        on_progress: Called with phase, done and total.

    Raises:
        DataError: A query has fewer than `k` others in the library.

    Notes:
        `k` are searched for who is not in the library, and as many more as have the same text for
        who is, rounded up to a power of two: a text that is there often widens no search but its
        own, which is done once for all queries with that text and vector.

    Source:
        Ours.
    """
    nearest = partial(
        library.nearest, method="auto", num_threads=num_threads, on_progress=on_progress
    )
    if known is None or not len(known.rows):
        return nearest(vectors_QD, k)
    copies_Q = np.where(known.row_Q < 0, 0, np.bincount(known.same_N)[known.row_Q])
    extra_Q = np.where(copies_Q > 0, 2 ** np.ceil(np.log2(np.maximum(copies_Q, 1))), 0).astype(int)
    idx_QK = np.empty((len(vectors_QD), k), np.int32)
    sim_QK = np.empty((len(vectors_QD), k), np.float32)
    methods = []
    for extra in np.unique(extra_Q):
        rows_R = np.flatnonzero(extra_Q == extra)
        first_U, place_R = _distinct(known.row_Q[rows_R], vectors_QD[rows_R], many=extra > 1)
        rows_U = rows_R[first_U]
        found = nearest(vectors_QD[rows_U], k + int(extra))
        if extra:
            found = _without(found, known.same_N, known.row_Q[rows_U], k)
        idx_QK[rows_R], sim_QK[rows_R] = found.idx_QK[place_R], found.sim_QK[place_R]
        methods.append(found.method)
    return replace(found, idx_QK=idx_QK, sim_QK=sim_QK, method=methods[0])


def _distinct(
    own_R: NDArray[np.int64], vectors_RD: NDArray[np.float32], *, many: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each text and vector comes first, and which of these each row is.

    Every row is its own where there are not `many` of a text.
    """
    if not many:
        return np.arange(len(own_R)), np.arange(len(own_R))
    places: dict[tuple[int, bytes], int] = {}
    first_U: list[int] = []
    place_R: list[int] = []
    for row, (own, vector) in enumerate(zip(own_R.tolist(), vectors_RD, strict=True)):
        place = places.setdefault((own, vector.tobytes()), len(places))
        if place == len(first_U):
            first_U.append(row)
        place_R.append(place)
    return np.array(first_U), np.array(place_R)


def _without(
    found: Neighbours, same_N: NDArray[np.int64], own_Q: NDArray[np.int64], k: int
) -> Neighbours:
    """The `k` nearest of those found that do not have the text of the query."""
    is_other_QW = (found.idx_QK >= 0) & (same_N[found.idx_QK] != own_Q[:, None])
    fewest = is_other_QW.sum(axis=1).min()
    if fewest < k:
        raise DataError(
            f"expected at least {k} records beside a record's own in the library, got {fewest}, "
            "because others have its very text; pass --no-leave-one-out to let records see "
            "themselves"
        )
    order_QK = np.argsort(~is_other_QW, axis=1, kind="stable")[:, :k]
    idx_QK = np.take_along_axis(found.idx_QK, order_QK, axis=1)
    return replace(found, idx_QK=idx_QK, sim_QK=np.take_along_axis(found.sim_QK, order_QK, axis=1))
