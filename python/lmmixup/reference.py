"""Plain NumPy truth of every operation: slow, obvious, and what the tests compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray


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


def cluster_quality(
    vectors_ND: NDArray[np.float32], labels_N: NDArray[np.int32]
) -> dict[str, Any]:
    """What `ops.cluster_quality` gives without neighbours, pair by pair in float64."""
    cosines = vectors_ND.astype(np.float64) @ vectors_ND.T.astype(np.float64)
    lengths = np.linalg.norm(vectors_ND.astype(np.float64), axis=1)
    to_centroid, to_mates = np.full((2, len(labels_N)), np.nan)
    pair_cosine, pairs = [], []
    for label in range(labels_N.max(initial=-1) + 1):
        members = np.flatnonzero(labels_N == label)
        centroid = vectors_ND[members].astype(np.float64).mean(axis=0)
        scale = lengths[members] * np.linalg.norm(centroid)
        products = vectors_ND[members] @ centroid
        to_centroid[members] = np.where(scale > 0, products / np.where(scale > 0, scale, 1), 0)
        own = cosines[np.ix_(members, members)]
        off_diagonal = own[~np.eye(len(members), dtype=bool)]
        if len(members) > 1:
            to_mates[members] = off_diagonal.reshape(len(members), -1).mean(axis=1)
        pair_cosine.append(off_diagonal.mean() if len(members) > 1 else np.nan)
        pairs.append(off_diagonal)
    inside = to_centroid[labels_N >= 0]
    mates = to_mates[~np.isnan(to_mates)]
    everyone = cosines[~np.eye(len(labels_N), dtype=bool)]
    return {
        "to_centroid": to_centroid,
        "to_mates": to_mates,
        "cluster_pair_cosine": np.array(pair_cosine),
        "sizes": np.bincount(labels_N[labels_N >= 0]),
        "centroid_mean": inside.mean(),
        "centroid_p10": np.quantile(inside, 0.1),
        "pair_mean": np.concatenate(pairs).mean(),
        "junk_share": (mates < 0.3).mean(),
        "random_pair_mean": everyone.mean(),
    }
