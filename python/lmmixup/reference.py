"""Plain NumPy truth of every operation: slow, obvious, and what the tests compare with."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING
from typing import TYPE_CHECKING, Any

import numpy as np

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy.typing as npt

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


MASK_64 = (1 << 64) - 1
WORD_SALT, GRAM_SALT, PAIR_SALT = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0x8CB92BA72F3D8DD7
LEXICAL = {
    "idf_power": 1.3,
    "tf_power": 1.0,
    "word": 1.0,
    "grams": 1.5,
    "pair": 0.0,
    "sign": 0.3,
    "gram": 3,
    "gram_norm": 0.5,
}
"""Weights of `embed_lexical`, as in docs/decisions/0004-embeddings.md."""
UNSPACED = (
    (0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007),
    (0x3040, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x20000, 0x3FFFF),
)  # fmt: skip
"""Code points of scripts that are written without spaces."""
MARKS = (
    (0x0300, 0x036F), (0x0483, 0x0489), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x065F),
    (0x0900, 0x0903), (0x093A, 0x094F), (0x0981, 0x0983), (0x09BC, 0x09CD), (0x0A01, 0x0A4D),
    (0x0A81, 0x0ACD), (0x0B01, 0x0B4D), (0x0BBE, 0x0BCD), (0x0C00, 0x0C4D), (0x0C81, 0x0CCD),
    (0x0D00, 0x0D4D), (0x200C, 0x200D), (0x20D0, 0x20FF),
)  # fmt: skip
"""Combining marks that continue a word."""


def embed_lexical(texts: Sequence[str], *, dim: int = 256) -> np.ndarray:
    """Plain version of `lmmixup.ops.embed_lexical`, with exact word counts.

    Args:
        texts: N texts.
        dim: D.

    Returns:
        (N, D) float32.
    """
    split = [lexical_words(text) for text in texts]
    records: Counter[str] = Counter()
    for words in split:
        records.update({word for word, _ in words})
    idf = {
        word: max(np.log(len(texts) + 1) - np.log(count), 1e-3) ** LEXICAL["idf_power"]
        for word, count in records.items()
    }
    return np.array([_lexical_vector(words, idf, dim) for words in split], np.float32).reshape(
        len(texts), dim
    )


def lexical_words(text: str) -> list[tuple[str, str]]:
    """Lower-cased words of a text, each with its kind: `letters`, `ideograph` or `sign`."""
    words: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        character = text[at]
        end = at + 1
        if _within(character, UNSPACED):
            words.append((character, "ideograph"))
            if end < len(text) and _within(text[end], UNSPACED):
                words.append((text[at : at + 2], "ideograph"))
        elif character.isalnum():
            while end < len(text) and _continues(text[end]):
                end += 1
            words.append(("".join(c.lower() for c in text[at:end]), "letters"))
        elif _is_visible(character):
            words.append((character, "sign"))
        at = end
    return words


def _lexical_vector(words: list[tuple[str, str]], idf: dict[str, float], dim: int) -> np.ndarray:
    vector = np.zeros(dim)
    weights = LEXICAL
    for (word, kind), count in Counter(words).items():
        weight = count ** weights["tf_power"] * idf[word]
        weight *= weights["sign"] if kind == "sign" else 1
        _add_feature(vector, _mix(_fnv(word.encode()) ^ WORD_SALT), weight * weights["word"])
        if kind == "letters":
            grams = _grams(word.encode(), int(weights["gram"]))
            share = weight * weights["grams"] / max(len(grams), 1) ** weights["gram_norm"]
            for gram in grams:
                _add_feature(vector, _mix(_fnv(gram) ^ GRAM_SALT), share)
    letters = [word for word, kind in words if kind == "letters"]
    for left, right in itertools.pairwise(letters):
        pair = _mix(_mix(_fnv(left.encode()) ^ PAIR_SALT) ^ _fnv(right.encode()))
        _add_feature(vector, pair, weights["pair"] * np.sqrt(idf[left] * idf[right]))
    length = np.linalg.norm(vector)
    return vector / length if length else vector


def _grams(word: bytes, n: int) -> list[bytes]:
    padded = b"<" + word[:64] + b">"
    starts = [at for at, byte in enumerate(padded) if byte & 0xC0 != 0x80] + [len(padded)]
    return [padded[a:b] for a, b in zip(starts, starts[n:], strict=False)]


def _add_feature(vector: np.ndarray, hash_64: int, weight: float) -> None:
    for part in range(2):
        bits = hash_64 >> (16 * part)
        place = ((bits & 0x7FFF) * len(vector)) >> 15
        vector[place] += -weight if bits & 0x8000 else weight


def _fnv(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & MASK_64
    return value


def _mix(value: int) -> int:
    value = ((value ^ (value >> 33)) * 0xFF51AFD7ED558CCD) & MASK_64
    value = ((value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53) & MASK_64
    return value ^ (value >> 33)


def _within(character: str, blocks: Sequence[tuple[int, int]]) -> bool:
    return any(first <= ord(character) <= last for first, last in blocks)


def _continues(character: str) -> bool:
    return not _within(character, UNSPACED) and (character.isalnum() or _within(character, MARKS))


def _is_visible(character: str) -> bool:
    if character.isascii():
        return "!" <= character <= "~"
    return not character.isspace() and unicodedata.category(character) != "Cc"


def knn(
    vectors_ND: npt.NDArray[np.float32],
    k: int,
    queries_QD: npt.NDArray[np.float32] | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The `k` nearest vectors by cosine, from the whole matrix of similarities.

    Args:
        vectors_ND: (N, D) finite; a row of zeros has cosine 0 with everything.
        k: Neighbours of each query.
        queries_QD: (Q, D); `None` compares the pool with itself, without the row itself.

    Returns:
        (Q, K) int32 indices, ties by lower index, -1 where there are fewer than k, and
        (Q, K) float32 cosines, 0 there.

    Notes:
        O(Q N D) time and O(Q N) memory, in double precision.

    Example:
        >>> indices, _ = knn(np.array([[1, 0], [0, 1], [1, 1]], np.float32), 1)
        >>> indices.tolist()
        [[2], [2], [0]]
    """
    unit_ND = _unit(vectors_ND)
    unit_QD = unit_ND if queries_QD is None else _unit(queries_QD)
    sim_QN = unit_QD @ unit_ND.T
    if queries_QD is None:
        np.fill_diagonal(sim_QN, -np.inf)
    order_QN = np.argsort(-sim_QN, axis=1, kind="stable")[:, :k]
    best_QN = np.take_along_axis(sim_QN, order_QN, axis=1)
    there_QN = best_QN > -np.inf
    idx_QK = np.full((len(unit_QD), k), -1, np.int32)
    sim_QK = np.zeros((len(unit_QD), k), np.float32)
    idx_QK[:, : order_QN.shape[1]] = np.where(there_QN, order_QN, -1)
    sim_QK[:, : order_QN.shape[1]] = np.where(there_QN, best_QN, 0.0)
    return idx_QK, sim_QK


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.divide(wide, length, out=np.zeros_like(wide), where=length > 0)


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
