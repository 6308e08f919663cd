"""Surface noise: typing errors that are drawn by a seed, logged, and can be undone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

CHARACTERS_PER_EDIT = 60
"""Mean distance of two edits."""

_WORD = re.compile(r"(?<![\w'-])[a-z]{4,}(?![\w'-])")
_PLACES = {
    "comma": re.compile(r",(?= )"),
    "space": re.compile(r"(?<=[a-z]) (?=[a-z])"),
    "capital": re.compile(r"(?<=[.?!] )(?:The|It|He|She|In|This|A|They)\b"),
}


@dataclass(frozen=True)
class Edit:
    """One change of a text.

    Attributes:
        kind: `swap`, `drop`, `double`, `comma`, `space` or `capital`.
        start: Where, in the text as it was after the edits before, in characters.
        before: What stood there.
        after: What stands there now.
    """

    kind: str
    start: int
    before: str
    after: str


def add_noise(text: str, random: Random) -> tuple[str, list[Edit]]:
    """Makes some typing errors in a text.

    Numbers, names and words with a capital are left alone: noise changes no fact.

    Args:
        text: The text.
        random: Draws.

    Returns:
        The text and its edits in the order in which they were made; as it came and none where
        nothing in it can be edited.

    Source:
        Ours; METHOD §2.
    """
    edits: list[Edit] = []
    for _ in range(max(1, round(len(text) / CHARACTERS_PER_EDIT))):
        edit = _draw(text, random)
        if edit is not None:
            edits.append(edit)
            text = _put(text, edit.start, edit.before, edit.after)
    return text, edits


def undo(text: str, edits: Sequence[Edit]) -> str:
    """The text before its edits.

    Args:
        text: The text as it is now.
        edits: All its edits, in the order in which they were made.

    Raises:
        ValueError: The text is not the one that the edits were made in.

    Example:
        >>> undo("teh end", [Edit("swap", 0, "the", "teh")])
        'the end'
    """
    for edit in reversed(edits):
        text = _put(text, edit.start, edit.after, edit.before)
    return text


def _put(text: str, start: int, old: str, new: str) -> str:
    if text[start : start + len(old)] != old:
        raise ValueError(f"expected {old!r} at character {start}, got {text[start:][:20]!r}")
    return text[:start] + new + text[start + len(old) :]


def _draw(text: str, random: Random) -> Edit | None:
    kind = random.choice(("swap", "swap", "drop", "drop", "double", "comma", "space", "capital"))
    pattern = _PLACES.get(kind, _WORD)
    places = [found.span() for found in pattern.finditer(text)]
    if not places:
        return None
    start, end = random.choice(places)
    before = text[start:end]
    if kind in _IN_WORD:
        at = random.randrange(1, len(before) - 1)
        after = _IN_WORD[kind](before, at)
    else:
        after = {"comma": "", "space": random.choice(("", "  ")), "capital": before.lower()}[kind]
    return None if after == before else Edit(kind, start, before, after)


_IN_WORD: dict[str, Callable[[str, int], str]] = {
    "swap": lambda word, at: word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    "drop": lambda word, at: word[:at] + word[at + 1 :],
    "double": lambda word, at: word[:at] + word[at] + word[at:],
}
