"""Typing errors change no fact and can be taken back."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmixup.mixture import Edit, add_noise, undo

WORDS = st.lists(
    st.sampled_from(
        ["the", "boats,", "harbour", "In", "1990", "Anna", "sailed.", "The", "é" * 5, ""]
    )
)


@given(text=st.one_of(WORDS.map(" ".join), st.text()), seed=st.integers(0, 2**32))
def test_undoing_gives_the_text_back(text: str, seed: int) -> None:
    noisy, edits = add_noise(text, Random(seed))
    assert undo(noisy, edits) == text
    assert (noisy == text) == (not edits) or undo(noisy, edits[:0]) == noisy


def test_noise_is_seeded_and_leaves_facts_alone() -> None:
    text = (
        "The harbour of Trieste was built in 1719 by Anna Eklund, who also repaired many boats. "
        * 5
    )
    noisy, edits = add_noise(text, Random(3))
    assert add_noise(text, Random(3)) == (noisy, edits)
    assert len(edits) > 3
    assert re.findall(r"Trieste|1719|Anna Eklund", noisy) == ["Trieste", "1719", "Anna Eklund"] * 5


def test_edits_of_another_text_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 'teh' at character 0"):
        undo("the end", [Edit("swap", 0, "the", "teh")])
