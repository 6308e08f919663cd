"""Names in a made record that none of its sources has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lmmixup.english import (
    BARE_NOUNS,
    BEFORE_VERBS,
    COMMON_ENDINGS,
    FUNCTION_WORDS,
    OPENERS,
    SUBJECT_VERBS,
    VERB_FORMS,
)
from lmmixup.reference.faithfulness.words import WORD, stem

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from decimal import Decimal

SAME_NAME = 0.55
"""Least share of the longer of two stems that both begin with, where they are forms of one name:
*Japan* and *Japanese*."""

SHORTEST_SHARED = 4
"""Characters that two forms of one name share at least."""

LONGEST_ACRONYM = 6

_STARTS = re.compile(r"[.!?:;\n\u2026\u3002\uff01\uff1f\"\u201c\u2018*#|]")
_SUBJECT = re.compile(
    rf"['\u2019]s\b|[ \t]+(?:[A-Z]|(?:(?:{'|'.join(sorted(BEFORE_VERBS))})\b[ \t]*)*"
    rf"(?:{'|'.join(sorted(SUBJECT_VERBS))}|[a-z]{{2,}}ed)\b)"
)
"""What is behind a name that begins a sentence: its next word, or a verb that it is the subject
of. A participle, a noun or an article behind it says that it is none: *Worth knowing*, *Known
facts*, *Heat the oven*."""

_JOINS = re.compile(r"(?:['\u2019]s)?[ \t]*[-'\u2019]?[ \t]*")


def new_names(
    made: str, new: Collection[str], known: Collection[str | Decimal], sources: Sequence[str]
) -> list[str]:
    """Names that stand in a text and in none of its sources.

    Args:
        made: The text.
        new: Stems that it has and no source does.
        known: Stems of the sources.
        sources: The sources.

    Returns:
        The names as they stand, words side by side as one.

    Notes:
        A name is a word with a capital. At the start of a sentence common words have one too:
        there it must be followed as a name is, and the common ones known here and those that end
        like one are left out.

    Source:
        Ours.
    """
    found: list[tuple[int, int]] = []
    end = 0
    for match in WORD.finditer(made) if new else ():
        gap, word = made[end : match.start()], match.group()
        is_start = end == 0 or _STARTS.search(gap) is not None
        end = match.end()
        if (
            not _is_name(word, made[end : end + 40], is_start=is_start)
            or (root := stem(word)) not in new
        ):
            continue
        if _is_form_of_one(root, known) or _is_acronym(word, sources):
            continue
        if found and _JOINS.fullmatch(made[found[-1][1] : match.start()]):
            found[-1] = (found[-1][0], end)
        else:
            found.append((match.start(), end))
    spelled = (made[start:stop] for start, stop in found)
    return [name for name in spelled if not _is_spelled_out(name, sources)]


def _is_name(word: str, behind: str, *, is_start: bool) -> bool:
    """Whether a word is a name by its capitals and what is behind it."""
    lower = word.lower()
    if word == lower or len(word) == 1:
        return False
    if not is_start or word[1:] != lower[1:]:
        return True
    is_common = any(lower in words for words in (OPENERS, VERB_FORMS, BARE_NOUNS))
    if is_common or lower.endswith(COMMON_ENDINGS):
        return False
    return _SUBJECT.match(behind) is not None


def _is_form_of_one(root: str, known: Collection[str | Decimal]) -> bool:
    for other in known:
        if isinstance(other, str) and other[:SHORTEST_SHARED] == root[:SHORTEST_SHARED]:
            shared = sum(1 for _ in _common(root, other))
            if shared >= SHORTEST_SHARED and shared >= SAME_NAME * max(len(root), len(other)):
                return True
    return False


def _common(one: str, other: str) -> list[str]:
    length = min(len(one), len(other))
    while one[:length] != other[:length]:
        length -= 1
    return list(one[:length])


def _is_acronym(word: str, sources: Sequence[str]) -> bool:
    """Whether a word is the initials of words with capitals that follow each other."""
    if not word.isupper() or not 2 <= len(word) <= LONGEST_ACRONYM:
        return False
    return any(word in _initials(source) for source in sources)


def _initials(text: str) -> str:
    """First letters of words with capitals, a space where other words are between them."""
    letters = [
        word[0] if word[0].isupper() else " "
        for word in WORD.findall(text)
        if word[0].isupper() or word not in FUNCTION_WORDS
    ]
    return "".join(letters)


def _is_spelled_out(name: str, sources: Sequence[str]) -> bool:
    """Whether a source has the initials of a name of several words as a word of its own."""
    initials = "".join(word[0] for word in WORD.findall(name) if word[0].isupper())
    return len(initials) > 1 and any(initials in WORD.findall(source) for source in sources)
