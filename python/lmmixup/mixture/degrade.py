"""From a good record to variants of low quality that together still hold what it says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lmmixup.mixture.draft import LETTERS, Variant
from lmmixup.mixture.prose import spans
from lmmixup.mixture.worsen import (
    INFORMATION,
    LOWEST_COST,
    REASONING,
    REDUNDANT,
    VAGUE,
    WRONG,
    Worsened,
    cost_of,
    lowered,
    repeat,
    say_nothing,
    take_away,
    take_options,
    take_reasons,
    worsened,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from lmmixup.mixture.choices import Choices
    from lmmixup.mixture.draft import Draft
    from lmmixup.mixture.passage import Passage

REPEATING_SHARE = 0.3
"""Share of the first two variants that also say something twice."""

_VAGUE_WORDS = {
    "year": ("some year", "a past year"),
    "date": ("some day", "an earlier day"),
    "number": ("some", "several", "many"),
    "nation": ("foreign", "certain"),
    "person": ("someone", "somebody", "a certain person"),
    "place": ("some place", "somewhere", "a certain area"),
    "name": ("something", "a certain thing", "some of them"),
}
_HEDGES = (
    "or something like that", "or whatever", "and stuff like that", "or so I guess", "give or take",
    "and whatnot", "if I remember it", "roughly anyway",
)  # fmt: skip
_OPENINGS = (
    "I guess ", "Maybe ", "Kinda hard to say, but ", "Hmm, perhaps ", "Not sure, but ",
    "Well, basically ", "Sort of: ", "No idea really, though ",
)  # fmt: skip
_NO_CHOICE = ("none of these", "all of the above", "something else", "not sure")
_BE = re.compile(r" (is|was|are|were|has|had|can|will) (?!not\b)")


class Degrader:
    """Makes variants of drafts by seeded rules.

    Args:
        choices: Finds wrong values of the right kind.

    Source:
        Ours; METHOD §2 for the kinds.
    """

    def __init__(self, choices: Choices) -> None:
        self._choices = choices

    def variants(
        self, draft: Draft, passage: Passage, number: int, random: Random
    ) -> list[Variant]:
        """Variants of a record.

        The first two together hold every part of it, and neither is vague or wrong: what is good
        in the record can be written from its variants.

        Args:
            draft: The record.
            passage: Where it is from; values that it names are never taken as wrong ones.
            number: How many, at least 2.
            random: Draws.

        Returns:
            At most `number` different variants, none like the record, all rated 3 or less.
        """
        out: list[Variant] = []
        seen = {(draft.question, draft.answer)}
        bearers = _bearers(draft, random)
        for place in range(number):
            piece = bearers[place] if place < 2 else self._free(draft, passage, random)
            while piece.cost < LOWEST_COST or (piece.question, piece.answer) in seen:
                if piece.cost > 2 * LOWEST_COST and place >= 2:
                    break
                repeat(piece, draft, random)
            key = piece.question, piece.answer
            if key in seen:
                continue
            seen.add(key)
            rating = max(0, 5 - piece.cost)
            kinds = tuple(dict.fromkeys(piece.kinds))
            out.append(Variant(piece.question, piece.answer, kinds, rating, piece.wrong))
        return out

    def _free(self, draft: Draft, passage: Passage, random: Random) -> Worsened:
        piece = worsened(draft)
        ways: dict[str, Callable[[], None]] = {
            INFORMATION: lambda: take_away(piece, random),
            REASONING: lambda: take_reasons(piece, random),
            VAGUE: lambda: self._blur(piece, random),
            WRONG: lambda: self._falsify(piece, draft, passage, random),
            REDUNDANT: lambda: repeat(piece, draft, random),
        }
        drawn = random.sample(list(ways), random.choice((1, 2, 2, 3)))
        if WRONG in drawn and VAGUE in drawn and piece.task_type not in ("mcq", "tfq"):
            drawn.remove(WRONG)  # nothing is left that could be wrong
        # What is made vague or wrong must still be there, and what is said twice is said last.
        for kind in sorted(drawn, key=(INFORMATION, REASONING, VAGUE, WRONG, REDUNDANT).index):
            ways[kind]()
        return piece

    def _blur(self, piece: Worsened, random: Random) -> None:
        if piece.options:
            others = [place for place in range(len(piece.options)) if place != piece.right]
            piece.options[random.choice(others)] = random.choice(_NO_CHOICE)
            piece.prompt = self._vague(piece.prompt, random)
            doubt = random.choice(("I think", "probably", "maybe"))
            piece.core = f"{LETTERS[piece.right]}) {doubt}"
        else:
            if piece.task_type in ("tfq", "qa"):
                piece.prompt = self._vague(piece.prompt, random)
            piece.core = random.choice(_OPENINGS) + lowered(self._vague(piece.core, random))
            piece.details = [
                _hedged(self._vague(one, random), random) for one in piece.details
            ] or [f"{random.choice(_HEDGES).capitalize()}."]
        piece.mark(VAGUE)

    def _vague(self, text: str, random: Random) -> str:
        parts, start = [], 0
        for span in spans(text):
            kind = self._choices.kind(span, text)
            words = _VAGUE_WORDS.get(kind.partition(" ")[0], _VAGUE_WORDS["name"])
            parts += [text[start : span.start], random.choice(words)]
            start = span.end
        blurred = "".join([*parts, text[start:]])
        if blurred == text:
            blurred = _hedged(text, random)
        return blurred

    def _falsify(self, piece: Worsened, draft: Draft, passage: Passage, random: Random) -> None:
        if piece.options:
            wrong = random.choice([at for at in range(len(piece.options)) if at != piece.right])
            piece.wrong = (piece.options[piece.right], piece.options[wrong])
            piece.core = f"{LETTERS[wrong]}) {piece.options[wrong]}"
        elif piece.task_type == "tfq":
            verdicts = {"True.": "False.", "False.": "True."}
            piece.wrong = (draft.core.rstrip("."), verdicts[draft.core].rstrip("."))
            piece.core, piece.details = verdicts[draft.core], []
        else:
            self._swap(piece, passage, random)
        piece.mark(WRONG)
        say_nothing(piece, WRONG, random)

    def _swap(self, piece: Worsened, passage: Passage, random: Random) -> None:
        """One number or name becomes another, or the first statement its opposite."""
        text = piece.answer
        found = [span for span in spans(text) if span.text not in passage.topic]
        random.shuffle(found)
        for span in found:
            for other in self._choices.like(span, text, passage, 1, random):
                piece.core = _replaced(piece.core, span.text, other)
                piece.details = [_replaced(one, span.text, other) for one in piece.details]
                piece.wrong = (span.text, other)
                return
        negated = _BE.sub(r" \1 not ", piece.core, count=1)
        if negated == piece.core:
            negated = f"It is not true that {lowered(piece.core)}"
        piece.wrong = (piece.core, negated)
        piece.core = negated


def _replaced(text: str, old: str, new: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, text)


def _hedged(text: str, random: Random) -> str:
    end = text[-1:] if text[-1:] in ".?!" else ""
    return f"{text.removesuffix(end)} {random.choice(_HEDGES)}{end}"


def _bearers(draft: Draft, random: Random) -> tuple[Worsened, Worsened]:
    """Two that lack something each, and together nothing."""
    one, other = worsened(draft), worsened(draft)
    if draft.options:
        take_reasons(one, random)
        take_options(other, random)
    elif len(draft.details) > 1:
        cut = random.randrange(1, len(draft.details))
        mine, yours = draft.details[:cut], draft.details[cut:]
        one.details, other.details = list(mine), list(yours)
        for piece in (one, other):
            share = len(piece.answer) / len(draft.answer)
            piece.mark(INFORMATION, cost_of(1 - share))
            say_nothing(piece, INFORMATION, random)
            if random.random() < REPEATING_SHARE:
                repeat(piece, draft, random)
    elif draft.details:
        take_reasons(other, random)
    if random.random() < 0.5:
        one, other = other, one
    return one, other
