"""What a made record keeps of each source, and what it says that none of them does: the truth."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from lmmixup.english import WEAK_WORDS
from lmmixup.reference.faithfulness.names import new_names
from lmmixup.reference.faithfulness.negations import new_negations
from lmmixup.reference.faithfulness.numbers import Number, numbers, other_values
from lmmixup.reference.faithfulness.words import WORD, stem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

Content: TypeAlias = "set[str | Decimal]"
"""Stems of words and values of numbers."""


def check_faithfulness(
    made: str, sources: Sequence[str]
) -> tuple[tuple[float, ...], list[tuple[str, str]]]:
    """Compares one made record with its sources.

    Args:
        made: All that the record says.
        sources: All that each source says.

    Returns:
        For each source, the share of its content that the record has, 0..1, 1 for a source without
        content; kind (`number`, `name`, `negation`) and words of what is found in none of them.

    Source:
        Ours; docs/decisions/0019-faithfulness.md.

    Example:
        >>> from lmmixup import reference
        >>> reference.check_faithfulness("Ada wrote 12 notes.", ["Ada wrote notes.", "A rose."])
        ((1.0, 0.0), [('number', '12')])
    """
    contents = [_stems(source) | _values(numbers(source)) for source in sources]
    mentioned = numbers(made)
    stems = _stems(made)
    known: Content = set().union(*contents)
    found = [("number", text) for text in _new_numbers(mentioned, known, sources)]
    new = {one for one in stems.difference(known) if isinstance(one, str)}
    found += [("name", text) for text in new_names(made, new, known, sources)]
    found += [("negation", text) for text in new_negations(made, new, known, sources)]
    return _coverage(stems | _values(mentioned), contents), found


def _stems(text: str) -> Content:
    stems: Content = set(map(stem, WORD.findall(text)))
    stems.discard("")
    return stems


def _values(found: Iterable[Number]) -> Content:
    return {value for number in found for value in number.values}


def _coverage(own: Content, contents: Sequence[Content]) -> tuple[float, ...]:
    shared = Counter(one for content in contents for one in content)

    def weight(content: Content) -> float:
        # By how many share it, so that the sum does not depend on the order of a set; in a loop,
        # since `sum` rounds otherwise from Python 3.12 on.
        times = Counter(map(shared.__getitem__, content))
        total = 0.0
        for number in sorted(times):
            total += times[number] / number
        return total

    return tuple(
        min(weight(content & own) / weight(content), 1.0) if content else 1.0
        for content in contents
    )


def _new_numbers(mentioned: Sequence[Number], known: Content, sources: Sequence[str]) -> list[str]:
    new = [
        number
        for number in mentioned
        if number.values.isdisjoint(known) and number.text not in WEAK_WORDS
    ]
    others = set().union(*map(other_values, sources)) if new else set()
    return [number.text for number in new if number.values.isdisjoint(others)]
