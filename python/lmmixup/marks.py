"""Marks between which texts of others stand in a prompt."""

from __future__ import annotations

import hashlib

SHORTEST, LONGEST = 4, 32
"""Hex digits. Each costs about a token, twice a record."""


def mark_of(*texts: str) -> str:
    """A mark for texts that are put into a prompt, which none of them holds.

    It is the beginning of a hash of all of them, as long as it must be: chosen when the texts are
    known, it cannot be foreseen by whoever wrote them.

    Args:
        texts: All that stands between the marks, at least one.

    Returns:
        4 hex digits, or as many more as it takes.

    Source:
        Ours.

    Example:
        >>> mark_of("1 + 1?", "2")
        '07a0'
    """
    lengths = " ".join(str(len(text)) for text in texts[:-1])
    whole = f"{lengths} {''.join(texts)}"
    digits = hashlib.blake2b(whole.encode("utf-8", "replace"), digest_size=LONGEST // 2).hexdigest()
    marks = (digits[:size] for size in range(SHORTEST, LONGEST))
    return next((mark for mark in marks if not any(mark in text for text in texts)), digits)
