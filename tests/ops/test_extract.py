"""What is taken of groups of records, against its plain truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import ops, reference
from lmmixup.errors import ArgumentError, DataError
from lmmixup.ops.extract import LEFT
from lmmixup.reference.extract import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Record = tuple[str, str]

PIECES = (
    ".", "!", "?", "...", "\u2026", "\u3002", "\uff01", "\u300d", "\u201d", "\u2019", '"', ")", "]",
    "\n", "\t", "  ", "\u00a0", "\x1d", "1.", "12.", "123.", "1234.", "(1) ", "(12)", "- ", "* ",
    "\u2022 ", "\u0663. ", "a1.", "_1.", "3.5", "one", "One", "ONE", "two", "three", "four", "five",
    "six", "Stra\u00dfe", "\u1e9e", "\u03a3\u0391\u03a3", "\u03c3\u03b1\u03c2", "\u0130", "\u01c5",
    "\u597d\u7684", "\u0e44\u0e17\u0e22", "cafe\u0301", "caf\u00e9", "_", "a_b", "'s", "\u24b6",
    "\u2460", "\u00bd",
)  # fmt: skip
"""What ends a sentence, begins an item or is a word, and what is near to it."""

TEXTS = st.lists(
    st.sampled_from(PIECES) | st.just(" ") | st.characters(exclude_categories=("Cs", "Cn")),
    max_size=24,
).map("".join)
SPACED = st.lists(st.sampled_from(PIECES), max_size=16).map(" ".join)
FEW = st.lists(st.sampled_from("abcdefghijkl"), max_size=7).map(lambda few: " ".join(few) + ". ")
ANSWERS = st.lists(FEW, max_size=5).map("".join) | SPACED | TEXTS
ASKED = st.sampled_from(["Why?", "why", "Why? ", "", "?", "How come?"]) | SPACED
GROUPS = st.lists(st.lists(st.tuples(ASKED, ANSWERS), max_size=7), max_size=3)


def taken(
    groups: Sequence[Sequence[Record]], max_output_tokens: int, num_threads: int = 1
) -> ops.Extracts:
    records = [record for group in groups for record in group]
    return ops.extract(
        pa.array([prompt for prompt, _ in records], pa.string()),
        pa.array([completion for _, completion in records], pa.string()),
        np.cumsum([0, *map(len, groups)]),
        max_output_tokens,
        num_threads=num_threads,
    )


def assert_true(groups: Sequence[Sequence[Record]], max_output_tokens: int) -> None:
    mine = taken(groups, max_output_tokens)
    start = 0
    for row, group in enumerate(groups):
        true = reference.extract(group, max_output_tokens)
        assert mine.prompts[row] == true.prompt, group
        assert mine.completions[row] == true.completion, group
        for name in ("num_questions", "num_redundant", "num_fragments", "num_over"):
            assert getattr(mine, name)[row] == getattr(true, name), (name, group)
        codes = mine.left[start : start + len(group)].tolist()
        assert {at: LEFT[code] for at, code in enumerate(codes) if code} == true.left, group
        start += len(group)


@settings(max_examples=500, deadline=None)
@given(GROUPS, st.integers(0, 60))
def test_takes_what_the_reference_takes(groups: list[list[Record]], max_output_tokens: int) -> None:
    assert_true(groups, max_output_tokens)


@given(TEXTS | SPACED)
def test_sentences_joined_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


def test_real_records_are_taken_as_the_reference_does(shared_data: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(shared_data / "sample_5k.parquet", columns=["instruction", "output"])
    records = list(zip(*(column.to_pylist() for column in table.columns), strict=True))[:1500]
    # Several answers to one question too: that is where sentences are chosen.
    groups = [records[at : at + 5] for at in range(0, len(records), 5)]
    groups += [[("Why?", answer) for _, answer in group] for group in groups]
    for max_output_tokens in (30, 150, 2400):
        assert_true(groups, max_output_tokens)


@pytest.mark.parametrize("num_threads", [2, 7])
def test_the_number_of_threads_changes_nothing(num_threads: int) -> None:
    told = ("Stone {} is old. It is heavy too.", "Few know of stone {} at all.", "")
    groups = [[("Why?", text.format(row)) for text in told] for row in range(500)]
    one, several = taken(groups, 12), taken(groups, 12, num_threads)
    assert (one.prompts, one.completions) == (several.prompts, several.completions)
    assert one.num_over.any()
    assert one.left.any()
    for name in ("num_questions", "left", "num_redundant", "num_fragments", "num_over"):
        assert np.array_equal(getattr(one, name), getattr(several, name))


def test_nothing_and_an_empty_group() -> None:
    assert taken([], 10).prompts == []
    empty = taken([[], [("a", "b")]], 10)
    assert empty.completions == ["", "b"]
    assert empty.num_questions.tolist() == [0, 1]


def test_a_null_is_an_empty_text() -> None:
    column = pa.array([None, "b"], pa.string())
    seen = ops.extract(column, column, np.array([0, 2]), 10)
    assert seen.completions == ["b"]
    assert seen.left.tolist() == [1, 0]


def test_ten_thousand_answers_to_one_question() -> None:
    told = [
        f"Stone{row} crosses river{row} near town{row}, says map{row}." for row in range(10_000)
    ]
    seen = taken([[("Why?", text) for text in told]], 2400)
    assert 9000 < len(seen.completions[0].encode()) <= 9600
    assert seen.num_questions.tolist() == [1]


@pytest.mark.parametrize("indptr", [[], [0], [1, 2], [0, 3], [0, 2, 1, 2]])
def test_records_that_do_not_fit_are_refused(indptr: list[int]) -> None:
    column = pa.array(["a", "b"])
    with pytest.raises(ArgumentError, match="indptr must have"):
        ops.extract(column, column, np.array(indptr, np.int64), 10)


def test_other_columns_are_refused() -> None:
    with pytest.raises(DataError, match="texts must be a string column"):
        ops.extract(pa.array([1]), pa.array(["a"]), np.array([0, 1]), 10)
