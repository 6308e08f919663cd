"""A record on its way down: what is taken out of it, and what is said instead."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmmixup.mixture.draft import LETTERS

if TYPE_CHECKING:
    from random import Random

    from lmmixup.mixture.draft import Draft

INFORMATION, REASONING = "information-removed", "reasoning-removed"
VAGUE, WRONG, REDUNDANT, NOISE = "vague", "partly-wrong", "redundant", "noise"

WEIGHTS = {INFORMATION: 2, REASONING: 1, VAGUE: 2, WRONG: 3, REDUNDANT: 1, NOISE: 1}
"""What each kind takes from the rating of 5; information removed takes 3 where more than half of
the record is gone."""

LOWEST_COST = 2
"""What a variant loses at least, so that none rates above 3."""

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

_TAIL = re.compile(r"(?:,| (?:which|who|because|since|where|while|although|and)) .*$", re.S)


@dataclass
class Worsened:
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
        """The prompt, with its choices."""
        lines = [f"{letter}) {one}" for letter, one in zip(LETTERS, self.options, strict=False)]
        return "\n".join([self.prompt, *lines])

    @property
    def answer(self) -> str:
        """All that is answered."""
        return " ".join(one for one in [self.core, *self.details] if one)

    def mark(self, kind: str, cost: int | None = None) -> None:
        """Takes down what was done to it, and what that costs."""
        self.kinds.append(kind)
        self.cost += WEIGHTS[kind] if cost is None else cost


def worsened(draft: Draft) -> Worsened:
    """A record as it is, before anything is done to it."""
    return Worsened(
        draft.task_type,
        draft.prompt,
        draft.core,
        list(draft.details),
        list(draft.options),
        draft.right,
    )


def take_away(piece: Worsened, random: Random) -> None:
    """Drops sentences, choices, or the tail of the only sentence."""
    before = len(piece.answer) + len(piece.question)
    if piece.options:
        take_options(piece, random)
        return
    if piece.details:
        keep = random.randrange(len(piece.details))
        places = sorted(random.sample(range(len(piece.details)), keep))
        piece.details = [piece.details[place] for place in places]
    else:
        piece.core = _shorter(piece.core)
    gone = 1 - (len(piece.answer) + len(piece.question)) / before
    piece.mark(INFORMATION, cost_of(gone))
    say_nothing(piece, INFORMATION, random)


def say_nothing(piece: Worsened, kind: str, random: Random) -> None:
    """Puts sentences without content between the others, more of them into a longer record."""
    if random.random() >= EMPTY_WORDS_SHARE:
        return
    most = 1 + len(piece.answer) // CHARACTERS_PER_REMARK
    for words in random.sample(_EMPTY_WORDS[kind], min(most, len(_EMPTY_WORDS[kind]))):
        piece.details.insert(random.randint(0, len(piece.details)), words)


def cost_of(share_gone: float) -> int:
    """What a share of a record costs that is gone."""
    return WEIGHTS[INFORMATION] + (share_gone > 0.5)


def take_options(piece: Worsened, random: Random) -> None:
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
    say_nothing(piece, INFORMATION, random)


def take_reasons(piece: Worsened, random: Random) -> None:
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
        say_nothing(piece, REASONING, random)


def repeat(piece: Worsened, draft: Draft, random: Random) -> None:
    """Says something again, with a phrase that says nothing."""
    filler = random.choice(_FILLERS)
    # What is short or already a repetition is not said again: the question is.
    said = [one for one in (piece.core, *piece.details) if len(one) > 35 and "," not in one[:25]]
    if not said or (piece.task_type == "qa" and random.random() < 0.3):
        stem = lowered(draft.prompt)
        if random.random() < 0.5:
            piece.prompt = f"{piece.prompt} {filler}{stem}"
        else:
            piece.details.append(f"{filler}{stem}")
    else:
        most = 1 + len(piece.answer) // (2 * CHARACTERS_PER_REMARK)
        for again in random.sample(said, min(most, len(said))):
            place = random.randint(0, len(piece.details))
            piece.details.insert(place, f"{random.choice(_FILLERS)}{lowered(again)}")
    piece.mark(REDUNDANT)


def _shorter(sentence: str) -> str:
    cut = _TAIL.sub("", sentence)
    if 12 <= len(cut) < len(sentence):
        return f"{cut.rstrip(' ,;.')}."
    words = sentence.split(" ")
    return " ".join(words[: max(1, 2 * len(words) // 3)]).rstrip(" ,;.")


def lowered(sentence: str) -> str:
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
