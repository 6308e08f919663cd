"""Plain truth of packing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def pack(lengths: Sequence[int], capacity: int, window: int = 0) -> list[list[int]]:
    """Best-fit decreasing as it is said, each row looked at for each record.

    Args:
        lengths: (N,) tokens of each record, 0..=capacity.
        capacity: Most tokens of a row.
        window: Records that are packed together; 0 packs all at once.

    Returns:
        Record numbers by row. Records go from the longest on, equal ones in their order, into the
        fullest row with room, the one used last of equally full ones.

    Example:
        >>> pack([3, 5, 2, 4], 7)
        [[1, 2], [3, 0]]
    """
    rows: list[list[int]] = []
    step = window or max(len(lengths), 1)
    for first in range(0, len(lengths), step):
        opened: list[tuple[int, int, list[int]]] = []
        order = sorted(range(first, min(first + step, len(lengths))), key=lambda i: -lengths[i])
        for turn, record in enumerate(order):
            length = lengths[record]
            fits = [at for at, (room, _, _) in enumerate(opened) if room >= length]
            if fits:
                at = min(fits, key=lambda at: (opened[at][0], -opened[at][1]))
                room, _, row = opened[at]
                opened[at] = (room - length, turn, [*row, record])
            else:
                opened.append((capacity - length, turn, [record]))
        rows.extend(row for _, _, row in opened)
    return rows
