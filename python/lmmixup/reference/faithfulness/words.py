"""Words of a text and their stems."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from lmmixup.english import FUNCTION_WORDS, NUMBER_WORDS

# Thai, Lao, kana and Han have no spaces: a character counts as a word.
_UNSPACED = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
"""One word; an underscore ends it, and so does an apostrophe."""

_SHORTEST_STEM = 3
_VOWEL = re.compile("[aeiouy]")


@lru_cache(maxsize=1 << 17)
def stem(word: str) -> str:
    """A word without case, accents and the endings of English inflection.

    Args:
        word: One word, as `WORD` finds it.

    Returns:
        The stem; empty for function words, and for numbers in words or with digits.

    Notes:
        Rough on purpose: both sides of a comparison go through it. Irregular forms stay apart.

    Source:
        Ours; the endings are those of Harman's S stemmer, *-ed*, *-ing* and *-ly*.

    Example:
        >>> [stem(word) for word in ("Cities", "city", "stopped", "stopping", "Café", "the", "3rd")]
        ['citi', 'citi', 'stop', 'stop', 'cafe', '', '']
    """
    folded = unicodedata.normalize("NFKD", word.lower())
    folded = "".join(char for char in folded if not unicodedata.combining(char))
    folded = folded.replace("\u00df", "ss").replace("\u03c2", "\u03c3")
    is_number = folded in NUMBER_WORDS or any(char.isdecimal() for char in folded)
    return "" if is_number or folded in FUNCTION_WORDS else _without_ending(folded)


def _without_ending(word: str) -> str:
    root = _singular(word)
    for ending, length in (("ing", 3), ("ed", 3), ("ly", 4)):
        short = root.removesuffix(ending)
        if short != root and len(short) >= length and _VOWEL.search(short):
            is_double = short[-1] == short[-2] and short[-1] not in "lsz"
            root = short[:-1] if is_double else short
            break
    if root.endswith("e") and len(root) > _SHORTEST_STEM + 1:
        root = root[:-1]
    return root[:-1] + "i" if root.endswith("y") and len(root) > _SHORTEST_STEM else root


def _singular(word: str) -> str:
    if len(word) <= _SHORTEST_STEM or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word[:-3] + "y" if word.endswith("ied") and len(word) > 4 else word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("sses", "ches", "shes", "xes", "zes")) else word[:-1]
