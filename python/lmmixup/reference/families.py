"""Shingles, Jaccard, cosines and families by comparing everything with everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.reference.knn import unit

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy.typing as npt


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


def semantic_families(
    vectors_ND: npt.NDArray[np.float32], threshold: float, *, keep_one: bool = False
) -> tuple[list[int], list[int], npt.NDArray[np.float64]]:
    """Components of the graph of cosines >= threshold, and which of a component stays.

    Records are taken as they come; one is kept unless a kept one of its component reaches the
    threshold, or with `keep_one` unless it is not the first of its component.

    Args:
        vectors_ND: (N, D) finite; a row of zeros has cosine 0 with everything.
        threshold: In (0, 1].
        keep_one: Whether one record a component stays.

    Returns:
        For each record the lowest index in its component; the kept record that it lost against,
        or -1; and (N, N) cosines in double precision.

    Source:
        Ours.

    Example:
        >>> vectors = np.array([[1, 0.1], [1, 0], [0, 1]], np.float32)
        >>> semantic_families(vectors, 0.9)[:2]
        ([0, 0, 2], [-1, 0, -1])
    """
    unit_ND = unit(vectors_ND)
    cosine_NN: npt.NDArray[np.float64] = unit_ND @ unit_ND.T
    first = list(range(len(vectors_ND)))
    for at, before in zip(*np.nonzero(np.tril(cosine_NN >= threshold, -1)), strict=True):
        low, high = sorted((first[at], first[before]))
        first = [low if label == high else label for label in first]
    partner = [-1] * len(first)
    for at, label in enumerate(first):
        kept = [other for other in range(at) if first[other] == label and partner[other] < 0]
        alike = kept if keep_one else [one for one in kept if cosine_NN[at, one] >= threshold]
        partner[at] = alike[0] if alike else -1
    return first, partner, cosine_NN
