"""The lexical embedder, a record at a time."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


MASK_64 = (1 << 64) - 1
WORD_SEED, GRAM_SEED, SECOND = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0x8BB84B93962EACC9
LEXICAL = {
    "idf_power": 1.3,
    "tf_power": 1.0,
    "word": 1.0,
    "grams": 1.5,
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
    """Words of a text as `ops.embed_lexical` counts them.

    Args:
        text: Any text.

    Returns:
        Lower-cased words in their order, each with its kind: `letters`, `ideograph` or `sign`.

    Example:
        >>> from lmmixup.reference import lexical_words
        >>> lexical_words("Is 2 even?")
        [('is', 'letters'), ('2', 'letters'), ('even', 'letters'), ('?', 'sign')]
    """
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
        _add_feature(vector, _mix(_hash(word.encode(), WORD_SEED)), weight * weights["word"])
        if kind == "letters":
            grams = _grams(word.encode(), int(weights["gram"]))
            share = weight * weights["grams"] / max(len(grams), 1) ** weights["gram_norm"]
            for gram in grams:
                _add_feature(vector, _hash(gram, GRAM_SEED), share)
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


def _hash(data: bytes, seed: int) -> int:
    for at in range(0, len(data), 16):
        block = int.from_bytes(data[at : at + 16], "little")
        product = ((block & MASK_64) ^ seed) * ((block >> 64) ^ SECOND)
        seed = (product & MASK_64) ^ (product >> 64)
    return seed


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
