"""From a good record to variants of low quality that together still hold what it says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmmixup.mixture.draft import LETTERS, Variant
from lmmixup.mixture.prose import spans

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from lmmixup.mixture.choices import Choices
    from lmmixup.mixture.draft import Draft
    from lmmixup.mixture.passage import Passage

INFORMATION, REASONING = "information-removed", "reasoning-removed"
VAGUE, WRONG, REDUNDANT, NOISE = "vague", "partly-wrong", "redundant", "noise"

WEIGHTS = {INFORMATION: 2, REASONING: 1, VAGUE: 2, WRONG: 3, REDUNDANT: 1, NOISE: 1}
"""What each kind takes from the rating of 5; information removed takes 3 where more than half of
the record is gone."""

REPEATING_SHARE = 0.3
"""Share of the first two variants that also say something twice."""

LOWEST_COST = 2
"""What a variant loses at least, so that none rates above 3."""

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
_FILLERS = (
    "Like I already said, ", "In other words again, ", "Repeating myself here, ",
    "Same thing once more: ", "Again and again, ", "As mentioned above already, ",
    "To say it twice, ", "Needless to repeat, ",
)  # fmt: skip
_EMPTY_WORDS = {
    INFORMATION: (
        "Blah blah, and so forth.", "Skipping the remainder here.",
        "More stuff exists somewhere, whatever.", "Details are left aside, sorry.",
        "Too lazy for the rest.", "Cut short, look it up yourself.",
    ),
    REASONING: (
        "Because I say so.", "Dunno why.", "Don't ask me for reasons.", "Just accept it.",
        "No explanation, simple as that.",
    ),
    WRONG: (
        "Trust me, definitely.", "Absolutely certain, no doubt.", "Everybody knows, obviously.",
        "I swear it's correct.", "Believe me, guaranteed.",
    ),
}  # fmt: skip
"""Sentences without content that stand where content was taken out, or for a wrong value."""

EMPTY_WORDS_SHARE = 0.95
"""How often one of them is there."""

CHARACTERS_PER_REMARK = 200
"""Characters of a record to which there is one such sentence, or one repetition."""

_NO_CHOICE = ("none of these", "all of the above", "something else", "not sure")
_TAIL = re.compile(r"(?:,| (?:which|who|because|since|where|while|although|and)) .*$", re.S)
_BE = re.compile(r" (is|was|are|were|has|had|can|will) (?!not\b)")


@dataclass
class _Piece:
    """A record on its way down."""

    task_type: str
    prompt: str
    core: str
    details: list[str]
    options: list[str]
    right: int
    kinds: list[str] = field(default_factory=list)
    cost: int = 0
    wrong: tuple[str, str] | tuple[()] = ()

    @property
    def question(self) -> str:
        lines = [f"{letter}) {one}" for letter, one in zip(LETTERS, self.options, strict=False)]
        return "\n".join([self.prompt, *lines])

    @property
    def answer(self) -> str:
        return " ".join(one for one in [self.core, *self.details] if one)

    def mark(self, kind: str, cost: int | None = None) -> None:
        self.kinds.append(kind)
        self.cost += WEIGHTS[kind] if cost is None else cost


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
                _repeat(piece, draft, random)
            key = piece.question, piece.answer
            if key in seen:
                continue
            seen.add(key)
            rating = max(0, 5 - piece.cost)
            kinds = tuple(dict.fromkeys(piece.kinds))
            out.append(Variant(piece.question, piece.answer, kinds, rating, piece.wrong))
        return out

    def _free(self, draft: Draft, passage: Passage, random: Random) -> _Piece:
        piece = _piece(draft)
        ways: dict[str, Callable[[], None]] = {
            INFORMATION: lambda: _take_away(piece, random),
            REASONING: lambda: _take_reasons(piece, random),
            VAGUE: lambda: self._blur(piece, random),
            WRONG: lambda: self._falsify(piece, draft, passage, random),
            REDUNDANT: lambda: _repeat(piece, draft, random),
        }
        drawn = random.sample(list(ways), random.choice((1, 2, 2, 3)))
        if WRONG in drawn and VAGUE in drawn and piece.task_type not in ("mcq", "tfq"):
            drawn.remove(WRONG)  # nothing is left that could be wrong
        # What is made vague or wrong must still be there, and what is said twice is said last.
        for kind in sorted(drawn, key=(INFORMATION, REASONING, VAGUE, WRONG, REDUNDANT).index):
            ways[kind]()
        return piece

    def _blur(self, piece: _Piece, random: Random) -> None:
        if piece.options:
            others = [place for place in range(len(piece.options)) if place != piece.right]
            piece.options[random.choice(others)] = random.choice(_NO_CHOICE)
            piece.prompt = self._vague(piece.prompt, random)
            doubt = random.choice(("I think", "probably", "maybe"))
            piece.core = f"{LETTERS[piece.right]}) {doubt}"
        else:
            if piece.task_type in ("tfq", "qa"):
                piece.prompt = self._vague(piece.prompt, random)
            piece.core = random.choice(_OPENINGS) + _lower(self._vague(piece.core, random))
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

    def _falsify(self, piece: _Piece, draft: Draft, passage: Passage, random: Random) -> None:
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
        _say_nothing(piece, WRONG, random)

    def _swap(self, piece: _Piece, passage: Passage, random: Random) -> None:
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
            negated = f"It is not true that {_lower(piece.core)}"
        piece.wrong = (piece.core, negated)
        piece.core = negated


def _replaced(text: str, old: str, new: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new, text)


def _hedged(text: str, random: Random) -> str:
    end = text[-1:] if text[-1:] in ".?!" else ""
    return f"{text.removesuffix(end)} {random.choice(_HEDGES)}{end}"


def _piece(draft: Draft) -> _Piece:
    return _Piece(
        draft.task_type,
        draft.prompt,
        draft.core,
        list(draft.details),
        list(draft.options),
        draft.right,
    )


def _bearers(draft: Draft, random: Random) -> tuple[_Piece, _Piece]:
    """Two that lack something each, and together nothing."""
    one, other = _piece(draft), _piece(draft)
    if draft.options:
        _take_reasons(one, random)
        _take_options(other, random)
    elif len(draft.details) > 1:
        cut = random.randrange(1, len(draft.details))
        mine, yours = draft.details[:cut], draft.details[cut:]
        one.details, other.details = list(mine), list(yours)
        for piece in (one, other):
            share = len(piece.answer) / len(draft.answer)
            piece.mark(INFORMATION, _cost(1 - share))
            _say_nothing(piece, INFORMATION, random)
            if random.random() < REPEATING_SHARE:
                _repeat(piece, draft, random)
    elif draft.details:
        _take_reasons(other, random)
    if random.random() < 0.5:
        one, other = other, one
    return one, other


def _take_away(piece: _Piece, random: Random) -> None:
    """Drops sentences, choices, or the tail of the only sentence."""
    before = len(piece.answer) + len(piece.question)
    if piece.options:
        _take_options(piece, random)
        return
    if piece.details:
        keep = random.randrange(len(piece.details))
        places = sorted(random.sample(range(len(piece.details)), keep))
        piece.details = [piece.details[place] for place in places]
    else:
        piece.core = _shorter(piece.core)
    gone = 1 - (len(piece.answer) + len(piece.question)) / before
    piece.mark(INFORMATION, _cost(gone))
    _say_nothing(piece, INFORMATION, random)


def _say_nothing(piece: _Piece, kind: str, random: Random) -> None:
    """Puts sentences without content between the others, more of them into a longer record."""
    if random.random() >= EMPTY_WORDS_SHARE:
        return
    most = 1 + len(piece.answer) // CHARACTERS_PER_REMARK
    for words in random.sample(_EMPTY_WORDS[kind], min(most, len(_EMPTY_WORDS[kind]))):
        piece.details.insert(random.randint(0, len(piece.details)), words)


def _cost(share_gone: float) -> int:
    return WEIGHTS[INFORMATION] + (share_gone > 0.5)


def _take_options(piece: _Piece, random: Random) -> None:
    """Leaves the right choice and one or two others."""
    wrong = [place for place in range(len(piece.options)) if place != piece.right]
    kept = sorted([piece.right, *random.sample(wrong, random.choice((1, 2)))])
    right = piece.options[piece.right]
    letter = LETTERS[piece.right]
    piece.options = [piece.options[place] for place in kept]
    piece.right = piece.options.index(right)
    if piece.core.startswith(f"{letter}) {right}"):
        piece.core = f"{LETTERS[piece.right]}) {right}"
    piece.mark(INFORMATION)
    _say_nothing(piece, INFORMATION, random)


def _take_reasons(piece: _Piece, random: Random) -> None:
    """Leaves the bare answer; does nothing where it is bare."""
    before = piece.answer
    piece.details = []
    if piece.options:
        piece.core = piece.core[:1]
    elif piece.task_type == "tfq":
        piece.core = piece.core.rstrip(".")
    elif piece.task_type == "qa" and len(piece.core) < 60:
        piece.core = re.sub(r"^(?:In|On|At|By|Because) ", "", piece.core).rstrip(".")
    if piece.answer != before:
        piece.mark(REASONING)
        _say_nothing(piece, REASONING, random)


def _repeat(piece: _Piece, draft: Draft, random: Random) -> None:
    """Says something again, with a phrase that says nothing."""
    filler = random.choice(_FILLERS)
    # What is short or already a repetition is not said again: the question is.
    said = [one for one in (piece.core, *piece.details) if len(one) > 35 and "," not in one[:25]]
    if not said or (piece.task_type == "qa" and random.random() < 0.3):
        stem = _lower(draft.prompt)
        if random.random() < 0.5:
            piece.prompt = f"{piece.prompt} {filler}{stem}"
        else:
            piece.details.append(f"{filler}{stem}")
    else:
        most = 1 + len(piece.answer) // (2 * CHARACTERS_PER_REMARK)
        for again in random.sample(said, min(most, len(said))):
            place = random.randint(0, len(piece.details))
            piece.details.insert(place, f"{random.choice(_FILLERS)}{_lower(again)}")
    piece.mark(REDUNDANT)


def _shorter(sentence: str) -> str:
    cut = _TAIL.sub("", sentence)
    if 12 <= len(cut) < len(sentence):
        return f"{cut.rstrip(' ,;.')}."
    words = sentence.split(" ")
    return " ".join(words[: max(1, 2 * len(words) // 3)]).rstrip(" ,;.")


def _lower(sentence: str) -> str:
    """A sentence as it goes on behind another word, where its first word may be lower-cased."""
    first = sentence.partition(" ")[0]
    small = {
        "The",
        "A",
        "An",
        "It",
        "He",
        "She",
        "In",
        "On",
        "By",
        "At",
        "This",
        "Because",
        "Which",
    }
    return sentence[:1].lower() + sentence[1:] if first in small else sentence
