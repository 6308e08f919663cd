"""Numbers by value, however they are written."""

from __future__ import annotations

from decimal import Decimal

import inflect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmixup.reference.faithfulness.numbers import numbers, other_values

ENGINE = inflect.engine()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,000 and 1000", [[1000], [1000]]),
        ("one thousand", [[1000]]),
        ("one hundred and five", [[105]]),
        ("1.2 million, 3 bn", [[1_200_000], [3_000_000_000]]),
        ("the 1980s and the 21st", [[1980], [21]]),
        ("twenty-first, two dozen", [[21], [24]]),
        ("nineteen eighty-four", [[1984]]),
        ("five, six", [[5], [6]]),
        ("10 000 people in 2012 300 dogs", [[10_000], [2012], [300]]),
        ("12.03.2004 at 10:30", [[12], [3], [2004], [10], [30]]),
        ("5m", [[5, 5_000_000]]),
        ("1.000", [[1, 1000]]),
        ("1. one\n(2) two\n(2) 1. six\nStep 3: three", [[1], [2], [6], [3]]),
        ("someone stands alone often", []),
        ("٣", [[3]]),
        ("", []),
    ],
)
def test_values(text: str, values: list[list[int]]) -> None:
    assert [sorted(one.values) for one in numbers(text)] == values


@given(st.integers(0, 10**12), st.sampled_from(["", "and"]))
def test_words_and_digits_have_the_same_value(value: int, andword: str) -> None:
    spelled = str(ENGINE.number_to_words(value, andword=andword)).replace(",", "")
    for text in (spelled, f"{value:,}", str(value)):
        assert [one.values for one in numbers(f"It is {text} now")] == [{Decimal(value)}], text


@given(st.integers(0, 10**6))
def test_ordinals_have_the_value_of_their_number(value: int) -> None:
    spelled = str(ENGINE.ordinal(ENGINE.number_to_words(value).replace(",", "")))
    for text in (ENGINE.ordinal(value), spelled):
        assert [one.values for one in numbers(str(text))] == [{Decimal(value)}], text


def test_parts_and_ends_of_ranges_can_be_looked_up_too() -> None:
    assert other_values("1.1 billion and 10 000") == {Decimal("1.1"), Decimal(10), Decimal(0)}
    assert other_values("1939\u201345") == {Decimal(1939), Decimal(1945)}
    assert other_values("none of it, nor seven") == set()


def test_no_run_of_words_is_worth_more_than_is_counted() -> None:
    (number,) = numbers("hundred " * 40)
    assert number.values == {Decimal(10**24)}


@given(st.text(max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    assert all(number.values for number in numbers(text))
    other_values(text)
