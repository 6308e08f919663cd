"""Marks between which texts of others stand in a prompt."""

from __future__ import annotations

import hashlib


def mark_of(*texts: str) -> str:
    """A mark for texts that are put into a prompt: a hash of them, so that they cannot hold it.

    Args:
        texts: All that stands between the marks, at least one.

    Returns:
        16 hex digits.

    Source:
        Ours.
    """
    lengths = " ".join(str(len(text)) for text in texts[:-1])
    whole = f"{lengths} {''.join(texts)}"
    return hashlib.blake2b(whole.encode("utf-8", "replace"), digest_size=8).hexdigest()
