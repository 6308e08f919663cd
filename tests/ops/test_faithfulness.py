"""The check of made records against its plain truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import english, ops, reference
from lmmixup.errors import ArgumentError, DataError
from lmmixup.ops.faithfulness import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Case = tuple[str, list[str]]
"""A made record and its sources."""

PIECES = (
    *sorted(english.NUMBER_WORDS), "and", "-", "\u2013", "/", ",", ".", "...", "\u2026", "!", "?",
    "\n", "\t", "  ", "\u00a0", "\u3002", "(", ")", "]", "'", "\u2019", "\u201d", '"', "\u201c",
    "'s", "n't", "not", "not only", "no", "No", "No. 7", "nothing", "nothing but",
    "without a doubt", "without", "none other", "cannot",
    "NEVER", "neither", "to mention", "wonder", "least",
    "1", "12", "1,000", "1 000", "1.5", "1,5", "3rd", "5m", "5 mn", "2 bn", "1939-45", "12.03.2004",
    "0", "00", "007", "\u0663", "1\u00a0000", "1. ", "(2) ", "3) ", "step 4: ", "part 5",
    "Ada", "Lovelace", "Ada's", "NASA", "Royal Society", "RS", "Japan", "Japanese", "Known", "Heat",
    "wrote", "walked", "is", "and", "often", "the", "The", "legal", "illegal", "known", "unknown",
    "cities", "city", "stopped", "stopping", "boxes", "tried", "quickly", "Caf\u00e9",
    "cafe\u0301s", "Stra\u00dfe",
    "\u03a3\u0391\u03a3", "\u0130", "\u01c5", "\u597d\u7684", "\u0e44\u0e17\u0e22",
    "\u2460", "\u24b6", "\u00bd", "_", "a_b", "no\u0165", "ma\u0301", "\u210b", "\ufb01n", "*", "#",
)  # fmt: skip
"""What the rules look for, and what is near to it."""

TEXTS = st.lists(
    st.sampled_from(PIECES) | st.just(" ") | st.characters(exclude_categories=("Cs", "Cn")),
    max_size=24,
).map("".join)
SPACED = st.lists(st.sampled_from(PIECES), max_size=16).map(" ".join)
CASES = st.tuples(SPACED | TEXTS, st.lists(SPACED | TEXTS, max_size=4))


def checked(cases: Sequence[Case], num_threads: int = 1) -> ops.Faithfulness:
    return ops.check_faithfulness(
        pa.array([made for made, _ in cases], pa.string()),
        pa.array([source for _, sources in cases for source in sources], pa.string()),
        np.cumsum([0, *(len(sources) for _, sources in cases)]),
        num_threads=num_threads,
    )


def assert_true(cases: Sequence[Case]) -> None:
    """The same coverage to the last bit, and the same findings in the same order."""
    seen = checked(cases)
    start = 0
    for row, (made, sources) in enumerate(cases):
        coverage, found = reference.check_faithfulness(made, sources)
        end = start + len(sources)
        assert tuple(seen.coverage[start:end].tolist()) == coverage, (made, sources)
        findings = slice(*seen.indptr[row : row + 2])
        kinds = [KINDS[kind] for kind in seen.kinds[findings]]
        assert list(zip(kinds, seen.texts[findings], strict=True)) == found, (made, sources)
        start = end


@settings(max_examples=400, deadline=None)
@given(st.lists(CASES, max_size=3))
def test_any_text_is_checked_as_the_reference_does(cases: list[Case]) -> None:
    assert_true(cases)


@pytest.mark.parametrize(
    "text",
    ["5million", "1 000billionth", "5m", "\u0130fourteen", "x five_six", "No.7", "hundred" * 3,
     "hundred " * 40, "9" * 60 + " dozen", "a" * 50_000, "not\u0131hing", "\u2460ne"],
)  # fmt: skip
def test_corners_are_checked_as_the_reference_does(text: str) -> None:
    assert_true([(text, ["5000000", "fourteen", "nothing"]), ("x", [text]), (text, [text])])


@pytest.mark.slow
def test_real_texts_are_checked_as_the_reference_does(shared_data: Path) -> None:
    import faithfulness

    halves = faithfulness.clusters(shared_data / "wiki" / "wiki_paragraphs.parquet", 300)
    cases = [
        (made, cluster.sources)
        for half in halves
        for cluster in half
        for made in (cluster.faithful, *cluster.planted.values())
    ]
    assert_true(cases)


def test_other_languages_are_checked_as_the_reference_does(shared_data: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(shared_data / "pools" / "pool_alpaca_zh.parquet", columns=["output"])
    texts = table.column("output").to_pylist()[:600]
    assert_true([(made + other, [made, more]) for made, other, more in
                 zip(texts[::3], texts[1::3], texts[2::3], strict=True)])  # fmt: skip


@pytest.mark.parametrize("num_threads", [2, 7])
def test_the_number_of_threads_changes_nothing(num_threads: int) -> None:
    text = "Ada wrote {} notes in London and never slept. Grace Hopper did not."
    cases = [
        (text.format(row), [text.format(row + 500), f"Stone {row % 9}."]) for row in range(500)
    ]
    one, several = checked(cases), checked(cases, num_threads)
    assert one.texts
    assert one.texts == several.texts
    for name in ("coverage", "indptr", "kinds"):
        assert np.array_equal(getattr(one, name), getattr(several, name))


def test_nothing_to_check() -> None:
    seen = checked([])
    assert len(seen.coverage) == len(seen.kinds) == len(seen.texts) == 0
    assert seen.indptr.tolist() == [0]


def test_a_null_is_an_empty_text() -> None:
    seen = ops.check_faithfulness(
        pa.array([None], pa.string()), pa.array([None, "Ada"], pa.string()), np.array([0, 2])
    )
    assert seen.coverage.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("indptr", [[0], [0, 1, 2], [1, 2], [0, 3], [0, -1]])
def test_sources_that_do_not_fit_are_refused(indptr: list[int]) -> None:
    with pytest.raises(ArgumentError, match="indptr must have 2 ascending numbers from 0 to 2"):
        ops.check_faithfulness(pa.array(["a"]), pa.array(["a", "b"]), np.array(indptr))


def test_other_columns_are_refused() -> None:
    with pytest.raises(DataError, match="texts must be a string column"):
        ops.check_faithfulness(pa.array([1]), pa.array(["a"]), np.array([0, 1]))
