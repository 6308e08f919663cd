"""Which records share a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup import _rust

if TYPE_CHECKING:
    import numpy.typing as npt


def pack(
    lengths: npt.ArrayLike, capacity: int, *, window: int = 0
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Packs records into rows by best-fit decreasing.

    Args:
        lengths: (N,) tokens of each record, 0..=capacity.
        capacity: Most tokens of a row, 1..2**31.
        window: Records that are packed together; 0 packs all at once.

    Returns:
        `records` (N,) uint32 and `starts` (R + 1,) uint32: row `r` has the records
        `records[starts[r]:starts[r + 1]]`, from the longest on.

    Raises:
        ArgumentError: A length is over the capacity.

    Notes:
        O(N + capacity) for each window; deterministic.

    Source:
        Best-fit decreasing, arXiv 2404.10830; linear by counting sort and sets of bits, ours.

    Example:
        >>> records, starts = pack([3, 5, 2, 4], 7)
        >>> records.tolist(), starts.tolist()
        ([1, 2, 3, 0], [0, 2, 4])
    """
    array = np.ascontiguousarray(lengths, dtype=np.uint32)
    return _rust.pack_best_fit(array, capacity, window)
