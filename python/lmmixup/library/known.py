"""Records that are in a library themselves: what the library says of them without them.

Shapes: N library records, Q queries, D dimensions, K neighbours.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
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

    Source:
        Ours.
    """
    nearest = partial(
        library.nearest, method="auto", num_threads=num_threads, on_progress=on_progress
    )
    found = nearest(vectors_QD, k)
    if known is None or not len(known.rows):
        return found
    rows = known.rows
    own_R = known.row_Q[rows]
    most = int(np.bincount(known.same_N)[own_R].max())
    wide = nearest(np.ascontiguousarray(vectors_QD[rows]), k + most)
    is_other = (wide.idx_QK >= 0) & (known.same_N[wide.idx_QK] != own_R[:, None])
    if is_other.sum(axis=1).min() < k:
        raise DataError(
            f"expected at least {k} records beside a record's own in the library, got "
            f"{is_other.sum(axis=1).min()}, because others have its very text; pass "
            "--no-leave-one-out to let records see themselves"
        )
    order_RK = np.argsort(~is_other, axis=1, kind="stable")[:, :k]
    found.idx_QK[rows] = np.take_along_axis(wide.idx_QK, order_RK, axis=1)
    found.sim_QK[rows] = np.take_along_axis(wide.sim_QK, order_RK, axis=1)
    return found
