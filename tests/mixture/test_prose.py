"""Mending, sentences, and what is found in them."""

from __future__ import annotations

import pytest

from lmmixup.mixture.passage import Passage
from lmmixup.mixture.prose import mend, sentences, spans
from lmmixup.mixture.texts import segments


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("Sunil Dutt( born 6 June 1929 ) acted .", "Sunil Dutt (born 6 June 1929) acted."),
        ("Iraq (, or ; '; '), in Asia", "Iraq, in Asia"),
        ("``Inner Smile'' is a song", '"Inner Smile" is a song'),
        ('film" Kill or Be Killed" was', 'film "Kill or Be Killed" was'),
        ("at 2: 00 am, 2004 \u2013 2005", "at 2:00 am, 2004\u20132005"),
        ("nothing  to\nmend here.", "nothing to mend here."),
        ("", ""),
    ],
)
def test_mending_puts_spaces_and_quotes_right(broken: str, whole: str) -> None:
    assert mend(broken) == whole
    assert mend(whole) == whole


def test_sentences_end_where_they_end() -> None:
    text = (
        "He met Dr. A. Smith of the U.S. Army in St. Louis. "
        '"Why?" (See p. 3. There.) In 1990 he left.'
    )
    assert sentences(text) == [
        "He met Dr. A. Smith of the U.S. Army in St. Louis.",
        '"Why?"',
        "(See p. 3. There.)",
        "In 1990 he left.",
    ]
    assert " ".join(sentences(text)) == text
    assert sentences("") == []


def test_specifics_have_kinds_and_places() -> None:
    text = (
        "On 6 June 1929, the Indian actor Sunil Dutt from New York left the University of Oslo in "
        "1950 with 2,500 books, 3.5 cars and Amnesty."
    )
    found = spans(text)
    assert [(one.kind, one.text) for one in found] == [
        ("date", "6 June 1929"), ("nation", "Indian"), ("name", "Sunil Dutt"), ("name", "New York"),
        ("name", "University of Oslo"), ("year", "1950"), ("number", "2,500"), ("number", "3.5"),
        ("name", "Amnesty"),
    ]  # fmt: skip
    assert all(text[one.start : one.end] == one.text for one in found)
    assert spans("The sentence begins. Nobody is named in 12-3.") == ()


def test_sentences_stand_alone_only_where_they_can() -> None:
    passage = Passage(
        0, "x", "x", "s", "Anna Eklund",
        "Anna Eklund (born 1920) was a Finnish painter of boats. Her father built houses in Turku. "
        "The river floods every year in spring. She lived there for more than twenty years. "
        "However, nobody bought a single picture.",
    )  # fmt: skip
    assert passage.is_person
    assert passage.standing[1] == "Anna Eklund's father built houses in Turku."
    assert passage.standing[2] == "The river floods every year in spring."
    assert passage.standing[3:] == ("", "")  # who `She` is, is no longer sure
    for leaning in ("In April 1950 she moved to another town.", "After that, they sold the house."):
        assert Passage(0, "x", "x", "s", "Anna Eklund", leaning).standing == ("",)


def test_long_texts_become_passages_and_lose_nothing() -> None:
    text = "One two three. Four five six.\n\nSeven eight.\n\n\n" + "Nine ten eleven twelve. " * 9
    parts = list(segments(text, 60))
    assert parts[:2] == ["One two three. Four five six.", "Seven eight."]
    assert all(len(part) <= 60 for part in parts)
    assert " ".join(parts).split() == text.split()
