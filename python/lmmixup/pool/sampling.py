"""Which records a sample has: those whose ids have the lowest keys."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np

from lmmixup import _rust

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    import pyarrow as pa

    from lmmixup.progress import Reporter


def sampled_places(
    ids: Iterable[pa.Array], size: int, seed: int, reporter: Reporter
) -> npt.NDArray[np.int64]:
    """Places of the sampled records.

    Args:
        ids: The records' ids, batch by batch.
        size: Number of records; all where there are no more.
        seed: Of the keys.
        reporter: Where progress goes.

    Returns:
        (min(size, N),) places, ascending.

    Notes:
        Holds as many keys as are sampled.
    """
    lowest: list[tuple[int, int]] = []  # a heap of (-key, -place)
    place = 0
    for batch in ids:
        keys = _rust.pool_sample_keys(batch, seed)
        limit = -lowest[0][0] if len(lowest) == size else None
        near = np.arange(len(keys)) if limit is None else np.flatnonzero(keys <= limit)
        for at in near.tolist():
            entry = (-int(keys[at]), -(place + at))
            if len(lowest) < size:
                heapq.heappush(lowest, entry)
            elif entry > lowest[0]:
                heapq.heapreplace(lowest, entry)
        place += len(keys)
        reporter("sample pool", place, 0)
    return np.sort(np.array([-row for _, row in lowest], np.int64))
