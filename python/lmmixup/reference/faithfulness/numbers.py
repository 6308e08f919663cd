"""Numbers in a text by their value, however they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import TYPE_CHECKING

from lmmixup.english import NUMBER_WORDS, SCALES, UNITS

if TYPE_CHECKING:
    from collections.abc import Collection

_SHORT_SCALES = {"k": 10**3, "m": 10**6, "mn": 10**6, "bn": 10**9, "b": 10**9, "tn": 10**12}
_EXACT = Context(prec=100_000, Emax=MAX_EMAX, Emin=MIN_EMIN)

MOST = 10**24
"""What the number words of one run come to at most: *hundred hundred hundred …* has no end."""


def _any_of(words: Collection[str]) -> str:
    """A pattern of words that share their beginnings, so that a text's words fail early."""
    by_first: dict[str, list[str]] = {}
    for word in sorted(words):
        by_first.setdefault(word[:1], []).append(word[1:])
    ends = "?" if by_first.pop("", None) else ""
    parts = [first + _any_of(rest) for first, rest in by_first.items()]
    return f"(?:{'|'.join(parts)}){ends}" if parts else ""


_SPACED = r"\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?![\d.,]*\d)"
_WORD = _any_of(NUMBER_WORDS)
_IN_DIGITS = (
    rf"(?P<digits>(?<![\d.,]){_SPACED}|\d+(?:[.,]\d+)*)"
    rf"(?:(?P<short>k|m|b|\s?(?:mn|bn|tn))\b|[\s-]*(?P<scale>{_any_of(SCALES)})\b)?"
)
_NUMBER = re.compile(rf"{_IN_DIGITS}|\b{_WORD}\b(?:(?:[\s-]+|\s+and\s+){_WORD}\b)*")
_RANGE = re.compile(r"(?<!\d)(\d{2})(\d{2})[\u2013/-](\d{2})(?!\d)")
_MARKER = re.compile(
    r"^(?:[ \t]*(?:\(\d{1,3}\)|\d{1,3}[.)]|(?:step|part)[ \t]+\d{1,3})(?=\s|:))+", re.M
)
_LETTERS = re.compile(r"[a-z]+")
_PLAIN = re.compile(r"[\d.,]*\d")
_GROUPED = re.compile(r"\d{1,3}(?:[., \u00a0\u202f]\d{3})+")
_DECIMAL = re.compile(r"(\d+)[.,](\d+)")
_ENGLISH = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Number:
    """One number of a text.

    Attributes:
        text: As it stands, in lower case.
        values: What it may be worth; several where a comma or a dot may mean two things.
    """

    text: str
    values: frozenset[Decimal]


def numbers(text: str) -> list[Number]:
    """The numbers of a text.

    Args:
        text: The text. Numbers that only count the items of a list are left out.

    Returns:
        Digits, English number words and both with *thousand*, *million*, …, in order. Ordinals and
        decades count as their number. What is no plain number (a date, a version) counts as its
        parts.

    Source:
        Ours.

    Example:
        >>> found = numbers("1. Of 1,000, one thousand, 1.2 million")
        >>> [sorted(map(int, one.values)) for one in found]
        [[1000], [1000], [1200000]]
    """
    found: list[Number] = []
    for match in _NUMBER.finditer(_unmarked(text)):
        if match["digits"]:
            found += _digit_numbers(match)
        else:
            found += _word_numbers(match.group())
    return found


def other_values(text: str) -> set[Decimal]:
    """What the numbers of a text may be worth beside their values, for looking others up in it.

    Args:
        text: The text.

    Returns:
        The values of digits without the scale or the groups that follow, and both ends of ranges
        of years: 1.1 in *1.1 billion*, 1945 in *1939-45*.
    """
    values: set[Decimal] = set()
    for start, first, last in _RANGE.findall(text):
        values.update((Decimal(start + first), Decimal(start + last)))
    for match in _NUMBER.finditer(_unmarked(text)):
        digits = match["digits"]
        if digits and (match["scale"] or match["short"] or not digits.isascii() or " " in digits):
            parts = _PLAIN.findall(digits)
            values.update(value for part in parts for one in _digit_values(part) for value in one)
    return values


def _unmarked(text: str) -> str:
    """In lower case and without the numbers of lists."""
    return _MARKER.sub("", text.lower())


def _digit_numbers(match: re.Match[str]) -> list[Number]:
    scale = SCALES.get(match["scale"] or "", 1)
    short = _SHORT_SCALES.get((match["short"] or "").strip(), 1)
    # 5m may be metres as well as millions.
    scales = (scale, short) if len(match["short"] or "") == 1 else (scale * short,)
    return [
        Number(
            match.group(),
            frozenset(_EXACT.multiply(value, by) for value in values for by in scales),
        )
        for values in _digit_values(match["digits"])
    ]


def _digit_values(digits: str) -> list[set[Decimal]]:
    """Values of one number in digits; of several where the digits are no plain number."""
    if digits.isdecimal():
        return [{Decimal(digits)}]
    values: set[Decimal] = set()
    if english := _ENGLISH.fullmatch(digits):
        values.add(Decimal(f"{english[1].replace(',', '')}.{english[2] or 0}"))
    elif decimal := _DECIMAL.fullmatch(digits):
        values.add(Decimal(f"{decimal[1]}.{decimal[2]}"))
    if _GROUPED.fullmatch(digits):
        values.add(Decimal("".join(char for char in digits if char.isdecimal())))
    parts = re.findall(r"\d+", digits)
    return [values] if values else [{Decimal(part)} for part in parts]


def _word_numbers(run: str) -> list[Number]:
    """Numbers in a run of number words: *two thousand and five*, but *five, six* as two."""
    found: list[Number] = []
    total = current = 0
    taken: list[str] = []
    last = 0

    def flush() -> None:
        nonlocal total, current, last
        if taken:
            found.append(Number(" ".join(taken), frozenset({Decimal(total + current)})))
        total = current = last = 0
        taken.clear()

    for word in _LETTERS.findall(run):
        if word == "and":
            continue
        if (scale := SCALES.get(word)) is not None:
            if scale in (12, 100):
                current = min(max(current, 1) * scale, MOST)
            else:
                total = min(total + max(current, 1) * scale, MOST)
                current = 0
            last = scale
        else:
            unit = UNITS[word]
            if total == 0 and current == last in range(10, 21) and unit >= 20:
                current *= 100  # a year: nineteen eighty-four
            # After a number only a smaller one goes on: twenty-one, but not five six.
            elif taken and not (last >= 100 or (last in range(20, 100) and unit < 10)):
                flush()
            current += unit
            last = unit
        taken.append(word)
    flush()
    return found
