"""Negations in a made record that none of its sources has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmmixup.reference.faithfulness.words import WORD, stem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from decimal import Decimal

SAME_NEGATION = 0.6
"""Least share of the words at a negation that also stand at one of a source."""

NUM_BEFORE, NUM_AFTER = 1, 3
"""Content words before and after a negation of the record that say what it negates."""

WIDER = 1
"""Content words further on either side that are looked at in a source."""

VERBATIM = 24
"""Characters behind a negation that are copied where it is copied."""

_CUE = re.compile(
    r"\b(?:not(?!\s+(?:only|just|least|merely|simply|to\s+mention)\b)"
    r"|no(?!\s+(?:doubt|wonder|less|fewer|matter)\b)"
    r"|nothing(?!\s+(?:but|short)\b)"
    r"|without(?!\s+(?:a\s+)?doubt\b)|none(?!\s+other\b)"
    r"|cannot|never|nobody|nowhere|neither|nor)\b"
    r"|n['\u2019]t\b",
    re.I,
)
"""Words that negate, outside of idioms that do not: *not only*, *no doubt*, *not least*."""

_END = re.compile(r"[.!?\u2026]+(?=[\s\"'\u201d\u2019)\]]|\Z)|\n")
_NUMBERED = re.compile(r"\.?\s*\d")
_NEGATIVE = (("un", 4), ("non", 4), ("in", 5), ("im", 5), ("il", 5), ("ir", 5))
"""Beginnings that negate a word, and characters that the word must have behind them."""


@dataclass(frozen=True)
class Negation:
    """One negation of a text.

    Attributes:
        text: From the cue to the word that it negates.
        before: Stems of content words before it in its sentence, the nearest last.
        after: The same after it, the nearest first.
    """

    text: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def negations(
    text: str, num_before: int, num_after: int, founded_in: Sequence[str] = ()
) -> Iterator[Negation]:
    """The negations of a text, each with content words around it.

    Args:
        text: The text.
        num_before: Content words before, at most.
        num_after: Content words after, at most.
        founded_in: Texts whose negations are left out where they go on with the same letters.
    """
    for cue in _CUE.finditer(text):
        if any(text[cue.start() : cue.end() + VERBATIM] in other for other in founded_in):
            continue
        ends = [end.end() for end in _END.finditer(text, 0, cue.start())]
        after = _END.search(text, cue.end())
        stop = after.start() if after else len(text)
        is_number_sign = cue.group() in ("No", "no") and _NUMBERED.match(text, cue.end())
        if is_number_sign:
            continue
        behind = [m for m in WORD.finditer(text, cue.end(), stop) if stem(m.group())][:num_after]
        ahead = map(stem, WORD.findall(text, ends[-1] if ends else 0, cue.start()))
        shown = text[cue.start() : behind[0].end() if behind else cue.end()]
        yield Negation(
            " ".join(shown.split()),
            tuple(one for one in ahead if one)[-num_before:] if num_before else (),
            tuple(stem(m.group()) for m in behind),
        )


def new_negations(
    made: str, new: Collection[str], known: Collection[str | Decimal], sources: Sequence[str]
) -> list[str]:
    """Negations that stand in a text and in none of its sources.

    Args:
        made: The text.
        new: Stems that it has and no source does.
        known: Stems of the sources.
        sources: The sources.

    Returns:
        Each from its cue to the word that it negates.

    Notes:
        A negation is found where a source has one of the same word or among the same words, or the
        word itself with a negative beginning: *not legal* and *illegal*. One without a content
        word behind it, such as the answer *No.*, is left out.

    Source:
        Ours.
    """
    own = [
        one
        for one in negations(made, NUM_BEFORE, NUM_AFTER, sources)
        if one.after and not any(one.text in source for source in sources)
    ]
    prefixed = [one for one in new if _positive(one) in known]
    if not own and not prefixed:
        return []
    theirs = [
        one
        for source in sources
        for one in negations(source, NUM_BEFORE + WIDER, NUM_AFTER + WIDER)
    ]
    found = [one.text for one in own if not _is_founded(one, theirs, known)]
    for root in sorted(prefixed):
        if not any(_positive(root) in one.after for one in theirs):
            found += [word for word in WORD.findall(made) if stem(word) == root][:1]
    return found


def _is_founded(
    one: Negation, theirs: Sequence[Negation], known: Collection[str | Decimal]
) -> bool:
    around = {*one.before, *one.after}
    if any(beginning + one.after[0] in known for beginning, _ in _NEGATIVE):
        return True
    if any(one.after[:1] == other.after[:1] for other in theirs):
        return True
    shared = (len(around.intersection((*other.before, *other.after))) for other in theirs)
    return max(shared, default=0) >= SAME_NEGATION * len(around)


def _positive(root: str) -> str | None:
    """What is left of a stem without a negative beginning; `None` where it has none."""
    for beginning, length in _NEGATIVE:
        if root.startswith(beginning) and len(root) >= len(beginning) + length:
            return root[len(beginning) :]
    return None
