"""What a record keeps of its sources, and what it says that none of them does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmixup.distill.faithfulness import check, said
from lmmixup.distill.mixer import Made
from lmmixup.ops.faithfulness import KINDS
from lmmixup.reference.faithfulness.words import stem

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = [
    "Ada Lovelace wrote 1,000 notes on the Analytical Engine in 1843. She didn't publish them.",
    "Charles Babbage designed three engines. None was finished. The Royal Society paid £17,000.",
]


def found(made: str, sources: list[str] = SOURCES) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in check(made, sources).unfounded]


@pytest.mark.parametrize(
    "made",
    [
        "In 1843 Lovelace wrote one thousand notes.",
        "Babbage's 3 engines were designed, but none was finished.",
        "She did not publish the notes on the ANALYTICAL ENGINES.",
        "However, the Society paid 17000 pounds.\n1. Lovelace is writing notes.",
        "Heat the oven. Known facts follow. Nowadays, experts say that people write.",
        "The RS paid. Not only Ada wrote, and last but not least Charles.",
        "",
    ],
)
def test_other_words_for_the_same_are_no_findings(made: str) -> None:
    assert found(made) == []


@pytest.mark.parametrize(
    ("made", "kind", "text"),
    [
        ("Ada wrote 1,001 notes.", "number", "1,001"),
        ("Ada wrote two thousand notes.", "number", "two thousand"),
        ("It was in 1842.", "number", "1842"),
        ("Ada King wrote notes.", "name", "King"),
        ("Grace Hopper wrote notes.", "name", "Grace Hopper"),
        ("The notes were by NASA.", "name", "NASA"),
        ("Ada never wrote notes.", "negation", "never wrote"),
        ("Babbage didn't design engines.", "negation", "n't design"),
        ("The engines were undesigned.", "negation", "undesigned"),
    ],
)
def test_what_no_source_says_is_found(made: str, kind: str, text: str) -> None:
    assert (kind, text) in found(made)


def test_a_negative_word_and_its_negation_are_the_same() -> None:
    assert found("It is not legal.", ["It is illegal."]) == []
    assert found("It is illegal.", ["It is not legal."]) == []
    assert found("It is illegal.", ["It is legal."]) == [("negation", "illegal")]


def test_wrong_choices_are_not_said() -> None:
    prompt = "Q: Who?\nA) Ada\nB) Grace\nC) Mary\nD) Jane"
    assert "Grace" not in said(Made(prompt, "A) Ada", "mcq"))
    assert "Grace" in said(Made(prompt, "A) Ada", "qa"))


def test_coverage_falls_with_what_is_left_out() -> None:
    whole = " ".join(SOURCES)
    assert check(whole, SOURCES).coverage == (1.0, 1.0)
    without = check(SOURCES[0], SOURCES).coverage
    assert without[0] == 1.0
    assert without[1] < 0.3
    half = check(SOURCES[0] + " Charles Babbage designed three engines.", SOURCES).coverage
    assert without[1] < half[1] < 1.0


@given(st.lists(st.sampled_from("red green blue stone river cloud".split()), min_size=1),  # noqa: SIM905
       st.integers(0, 5))  # fmt: skip
def test_taking_any_word_out_never_raises_coverage(words: list[str], at: int) -> None:
    gone = words[at % len(words)]
    left = [word for word in words if word != gone]
    whole, less = (check(" ".join(some), [" ".join(words)]).coverage[0] for some in (words, left))
    assert whole == 1.0
    assert less < whole


@given(st.text(max_size=80), st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_any_text_can_be_checked(made: str, sources: list[str]) -> None:
    seen = check(made, sources)
    assert len(seen.coverage) == len(sources)
    assert all(0 <= share <= 1 for share in seen.coverage)
    assert {one.kind for one in seen.unfounded} <= set(KINDS)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_what_is_copied_whole_is_covered(sources: list[str]) -> None:
    assert check("\n".join(sources), sources).coverage == (1.0,) * len(sources)


@pytest.mark.parametrize(
    ("one", "other"),
    [("cities", "city"), ("stopped", "stopping"), ("writing", "writes"), ("boxes", "box"),
     ("Cafés", "cafe"), ("tried", "tries"), ("quickly", "quick")],
)  # fmt: skip
def test_forms_of_a_word_share_a_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other) != ""


@pytest.mark.slow
def test_plants_in_real_paragraphs_are_caught(shared_data: Path) -> None:
    import faithfulness

    _, reported = faithfulness.clusters(shared_data / "wiki" / "wiki_paragraphs.parquet")
    counts = faithfulness.measure(reported)
    assert counts.num_faithful >= 1000
    assert counts.num_planted.total() >= 1000
    assert counts.caught_share >= 0.95
    assert counts.flagged_share <= 0.05
    for kind in KINDS:
        assert counts.num_caught[kind] >= 0.9 * counts.num_planted[kind], kind
