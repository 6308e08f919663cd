"""Specifics of the same kind as a given one: what a distractor or a wrong value can be."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from lmmixup.mixture.prose import Span, spans
from lmmixup.mixture.vocabulary import BEFORE_PEOPLE, BEFORE_PLACES, HEADS, MONTHS, NATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    import numpy as np
    import numpy.typing as npt

    from lmmixup.mixture.passage import Passage

_BEFORE = re.compile(r"(\w+)[\s\"]+$")
MOST_LIKE = 24
"""Candidates that are looked at for one specific."""


class Choices:
    """Knows the specifics of all passages, and whose neighbour each passage is.

    Args:
        passages: The passages of one part of the split.
        near_NK: (N, K) places of the nearest passages of each, -1 where there are fewer.

    Notes:
        Only specifics of the same part are offered, so that none crosses the split.

    Source:
        Ours.
    """

    def __init__(self, passages: Sequence[Passage], near_NK: npt.NDArray[np.int32]) -> None:
        self._near_NK = near_NK
        self._place = {passage.row: place for place, passage in enumerate(passages)}
        self._first_names = _first_names(passages)
        self._votes = _votes(passages)
        self._kinds: list[dict[str, list[str]]] = []
        everywhere: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for passage in passages:
            by_kind: defaultdict[str, list[str]] = defaultdict(list)
            for span in spans(passage.text):
                kind = self.kind(span, passage.text)
                by_kind[kind].append(span.text)
                everywhere[kind][span.text] = None
            self._kinds.append(dict(by_kind))
        self._everywhere = {kind: list(texts) for kind, texts in everywhere.items()}
        self._everywhere["nation"] = sorted({*everywhere["nation"], *NATIONS})

    def kind(self, span: Span, text: str) -> str:
        """The kind of a specific; of a name also what it names, as far as its use tells.

        Args:
            span: The specific.
            text: Where it stands.
        """
        if span.kind == "number":
            whole = span.text.replace(",", "")
            return f"number {len(whole.partition('.')[0])}{'.' if '.' in whole else ''}"
        if span.kind != "name":
            return span.kind
        words = span.text.split(" ")
        if words[-1] in HEADS:
            return f"name {words[-1]}"
        if self.is_person(span.text):
            return "person"
        if len(words) == 1 and span.text.isupper():
            return "initials"
        return self._name_kind(span, text, words)

    def _name_kind(self, span: Span, text: str, words: list[str]) -> str:
        place, person = self._votes.get(span.text, (0, 0))
        if place > person and not text[: span.start].endswith("the "):
            return "place"
        the = " with the" if text[: span.start].endswith(("the ", "The ")) else ""
        return f"name of {min(len(words), 3)}{the}"

    def is_person(self, name: str) -> bool:
        """Whether a name of several words begins with a first name."""
        first, _, rest = name.partition(" ")
        return bool(rest) and first in self._first_names

    def like(
        self, span: Span, text: str, passage: Passage, number: int, random: Random
    ) -> list[str]:
        """Others of the same kind, that the passage does not name.

        Args:
            span: The specific.
            text: The sentence where it stands.
            passage: The passage of the sentence.
            number: How many.
            random: Draws.

        Returns:
            At most `number` different texts, from the nearest passages first.
        """
        kind = self.kind(span, text)
        taken = {span.text.lower()}
        out: list[str] = []
        near = self._from_neighbours(span, kind, passage)
        made = _made(span, random)
        far = self._everywhere.get(kind, []) if not made or kind == "nation" else []
        some = random.sample(far, min(len(far), MOST_LIKE))
        for one in [*near, *made, *some]:
            if len(out) == number:
                break
            if not _is_other(one, taken, passage.text):
                continue
            out.append(one)
            taken.add(one.lower())
        return out

    def _from_neighbours(self, span: Span, kind: str, passage: Passage) -> list[str]:
        out: dict[str, None] = {}
        for near in self._near_NK[self._place[passage.row]]:
            if near >= 0 and len(out) < MOST_LIKE:
                out.update(dict.fromkeys(self._kinds[near].get(kind, ())))
        if span.kind == "year":
            return [one for one in out if 0 < abs(int(one) - int(span.text)) <= 40]
        if span.kind == "date":
            return [one for one in out if one[0].isdigit() == span.text[0].isdigit()]
        return list(out)


def _is_other(text: str, taken: set[str], passage: str) -> bool:
    low = text.lower()
    if any(low in one or one in low for one in taken):
        return False
    return re.search(rf"\b{re.escape(text)}\b", passage) is None


def _first_names(passages: Sequence[Passage]) -> set[str]:
    """First words of the names of people that the leads are about."""
    firsts = Counter(
        passage.lead.subject.split(" ")[0]
        for passage in passages
        if passage.lead is not None and passage.is_person and " " in passage.lead.subject
    )
    return {name for name in firsts if len(name) > 2 and name not in ("The", "An")}


def _votes(passages: Sequence[Passage]) -> dict[str, tuple[int, int]]:
    """How often each name stands where a place does, and where a person does."""
    votes: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for passage in passages:
        for span in spans(passage.text):
            if span.kind != "name":
                continue
            before = _BEFORE.search(passage.text, max(0, span.start - 16), span.start)
            word = before[1] if before else ""
            votes[span.text][0] += word in BEFORE_PLACES
            votes[span.text][1] += word in BEFORE_PEOPLE
    return {name: (place, person) for name, (place, person) in votes.items()}


def _made(span: Span, random: Random) -> list[str]:
    """Values near a number or date; none for names."""
    if span.kind == "year":
        steps = random.sample([-12, -9, -7, -5, -4, -3, -2, 2, 3, 4, 5, 7, 9, 12], 6)
        return [str(int(span.text) + step) for step in steps if int(span.text) + step < 2026]
    if span.kind == "number":
        return [_number_like(span.text, random) for _ in range(8)]
    if span.kind == "date":
        return [_date_like(span.text, random) for _ in range(8)]
    return []


def _number_like(text: str, random: Random) -> str:
    value = float(text.replace(",", ""))
    decimals = len(text.partition(".")[2])
    factor = random.choice((0.4, 0.5, 0.6, 0.75, 0.8, 1.25, 1.4, 1.5, 1.75, 2.0, 2.5))
    new = max(value * factor, 0.0)
    if not decimals and abs(new - value) < 1:
        new = value + random.choice((-2, -1, 1, 2, 3))
    new = abs(new)
    shape = f"{new:,.{decimals}f}" if "," in text else f"{new:.{decimals}f}"
    return shape if shape not in ("0", text) else str(int(value) + 3)


def _date_like(text: str, random: Random) -> str:
    day, month, year = _parts(text)
    changed = random.choice(("day", "month", "year"))
    if changed == "day":
        day = random.choice([one for one in range(1, 29) if one != day])
    elif changed == "month":
        month = random.choice([one for one in MONTHS if one != month])
        day = min(day, 28)
    else:
        year += random.choice((-9, -6, -3, -2, -1, 1, 2, 3, 6))
    return f"{day} {month} {year}" if text[0].isdigit() else f"{month} {day}, {year}"


def _parts(text: str) -> tuple[int, str, int]:
    words = text.replace(",", "").split(" ")
    if words[0].isdigit():
        return int(words[0]), words[1], int(words[2])
    return int(words[1]), words[0], int(words[2])
