"""What a made record keeps of each source, and what it says that none of them does."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lmmixup.distill.names import new_names
from lmmixup.distill.negations import new_negations
from lmmixup.distill.numbers import WEAK_WORDS, numbers, values_in
from lmmixup.distill.words import WORD, stem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

Kind = Literal["number", "name", "negation"]

_CHOICE = re.compile(r"^[ \t]*[A-D]\).*$", re.M)

KINDS: tuple[Kind, ...] = ("number", "name", "negation")
"""What is looked for."""


@dataclass(frozen=True)
class Unfounded:
    """Something that a made record says and none of its sources does.

    Attributes:
        kind: One of `KINDS`.
        text: As it stands in the record.
    """

    kind: Kind
    text: str


@dataclass(frozen=True)
class Faithfulness:
    """How a made record stands to its sources.

    Attributes:
        coverage: For each source, the share of its content that the record has, 0..1; 1 for a
            source without content.
        unfounded: What is found in none of them; a record with any is flagged.
    """

    coverage: tuple[float, ...]
    unfounded: tuple[Unfounded, ...]


class Tally:
    """What a run's records keep, and how many of them are flagged."""

    def __init__(self) -> None:
        self._num_records = self._num_sources = 0
        self._coverage = 0.0
        self._num_by_kind: Counter[str] = Counter()
        self._num_flagged = 0

    def add(self, coverage: Sequence[float], unfounded: Sequence[Unfounded]) -> None:
        """Counts one record."""
        self._num_records += 1
        self._num_sources += len(coverage)
        self._coverage += sum(coverage)
        self._num_flagged += bool(unfounded)
        self._num_by_kind.update({one.kind for one in unfounded})

    def figures(self) -> dict[str, float | int | None]:
        """Mean coverage of a source, flagged records, and those with each kind of finding."""
        mean = round(self._coverage / self._num_sources, 6) if self._num_sources else None
        flagged = {f"flagged_{kind}": self._num_by_kind[kind] for kind in KINDS}
        return {"mean_coverage": mean, "flagged": self._num_flagged, **flagged}


def check(made: str, sources: Sequence[str]) -> Faithfulness:
    """Compares a made record with its sources.

    Args:
        made: All that the record says.
        sources: All that each source says, at least one.

    Returns:
        Coverage of each source, and unfounded numbers, names and negations.

    Notes:
        Content is stems of words and values of numbers. What several sources say weighs in each
        of them one through their number, so that what only one says decides its coverage. Numbers
        are compared by value, names by stem, negations by the words around them. Names and
        negations are read in English; a language that capitalises all nouns has them all looked
        up as names. Linear in the texts.

    Source:
        Ours; how well it does is in docs/decisions/0019-faithfulness.md.

    Example:
        >>> seen = check(
        ...     "Ada Lovelace wrote one thousand notes and never slept.",
        ...     ["Ada wrote 1,000 notes.", "She lived in London."],
        ... )
        >>> [(one.kind, one.text) for one in seen.unfounded]
        [('name', 'Lovelace'), ('negation', 'never slept')]
        >>> seen.coverage
        (1.0, 0.0)
    """
    contents = [_content(source) for source in sources]
    known: set[str | Decimal] = set().union(*contents)
    own = _content(made)
    unfounded = [Unfounded("number", text) for text in _new_numbers(made, known)]
    new = {one for one in own.difference(known) if isinstance(one, str)}
    unfounded += [Unfounded("name", text) for text in new_names(made, new, known, sources)]
    negations = new_negations(made, new, known, sources)
    unfounded += [Unfounded("negation", text) for text in negations]
    return Faithfulness(_coverage(own, contents), tuple(unfounded))


def said(prompt: str, completion: str, task_type: str | None) -> str:
    """What a record states: all of it, but for the choices of a multiple choice.

    Wrong choices are not in the sources, and should not be; the right one is the completion.
    """
    asked = _CHOICE.sub("", prompt) if task_type == "mcq" else prompt
    return f"{asked}\n{completion}"


def _content(text: str) -> set[str | Decimal]:
    content: set[str | Decimal] = set(map(stem, WORD.findall(text)))
    content.discard("")
    content.update(values_in(text))
    return content


def _coverage(own: set[str | Decimal], contents: Sequence[set[str | Decimal]]) -> tuple[float, ...]:
    shared = Counter(one for content in contents for one in content)

    def weight(content: Iterable[str | Decimal]) -> float:
        # Sorted, so that the sum of floats does not depend on how a set is ordered.
        return sum(sorted(1 / shared[one] for one in content))

    return tuple(
        weight(content & own) / weight(content) if content else 1.0 for content in contents
    )


def _new_numbers(made: str, known: set[str | Decimal]) -> list[str]:
    return [
        number.text
        for number in numbers(made)
        if number.values.isdisjoint(known) and number.text.lower() not in WEAK_WORDS
    ]
