"""Shingles, Jaccard and families by comparing everything with everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


def shingles(text: str, size: int = 5) -> frozenset[tuple[str, ...]]:
    """Word n-grams of a text: `text.lower().split()` in runs of `size`.

    Args:
        text: A record's prompt, a newline, and its completion.
        size: Words of a shingle; a text with fewer is one shingle, an empty one has none.

    Returns:
        The set.

    Source:
        Ours.

    Example:
        >>> sorted(shingles("A b  c", 2))
        [('a', 'b'), ('b', 'c')]
    """
    words = text.lower().split()
    if len(words) < size:
        return frozenset([tuple(words)] if words else [])
    return frozenset(tuple(words[at : at + size]) for at in range(len(words) - size + 1))


def jaccard(a: frozenset[Hashable], b: frozenset[Hashable]) -> float:
    """|a and b| / |a or b|; 1 for two empty sets.

    Args:
        a: A set.
        b: Another.

    Returns:
        The similarity, 0 to 1.

    Source:
        Jaccard 1901.

    Example:
        >>> jaccard(frozenset("ab"), frozenset("bc"))
        0.3333333333333333
    """
    return len(a & b) / len(a | b) if a or b else 1.0


def families_of(sets: list[frozenset[Hashable]], threshold: float) -> list[int]:
    """Connected components of the graph of all pairs at Jaccard >= threshold, by brute force.

    Args:
        sets: N sets.
        threshold: In (0, 1].

    Returns:
        For each set the lowest index in its component.

    Source:
        Ours.

    Example:
        >>> families_of([frozenset("abc"), frozenset("x"), frozenset("abcd")], 0.7)
        [0, 1, 0]
    """
    first = list(range(len(sets)))
    for at, one in enumerate(sets):
        for before in range(at):
            if first[at] != first[before] and jaccard(one, sets[before]) >= threshold:
                low, high = sorted((first[at], first[before]))
                first = [low if label == high else label for label in first]
    return first
