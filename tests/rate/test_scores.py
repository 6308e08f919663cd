"""What is a rating and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmixup.llm import Answer
from lmmixup.rate import Scores, Unrated, rating_class, read_scores

GOOD = {"rarity": 3, "complexity": 6, "informativeness": 7, "overall": 7}
EXPECTED = Scores(7.0, 3.0, 6.0, 7.0)


def read(text: str | None, finish_reason: str = "stop", **more: Any) -> Scores | Unrated:
    return read_scores(Answer(text, finish_reason, **more))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        json.dumps(GOOD, indent=4),
        f"```json\n{json.dumps(GOOD)}\n```",
        f"```\n{json.dumps(GOOD)}\n```\n",
        f"Here are my scores:\n\n{json.dumps(GOOD)}\n\nI hope {{this}} helps.",
        f"<think>maybe {json.dumps({**GOOD, 'overall': 2})}</think>\n{json.dumps(GOOD)}",
        f"My {{honest}} scores: {json.dumps(GOOD)}",
        f"{json.dumps(GOOD)}\n{json.dumps(GOOD)}",
        json.dumps([GOOD]),
        json.dumps({"scores": GOOD}),
        json.dumps({key: str(value) for key, value in GOOD.items()}),
        json.dumps({key: f"{value}/10" for key, value in GOOD.items()}),
        json.dumps({key: f" {value}.0 / 10" for key, value in GOOD.items()}),
        json.dumps({key: float(value) for key, value in GOOD.items()}),
        json.dumps({key.upper(): value for key, value in GOOD.items()}),
        json.dumps({f"{key.title()} Score": value for key, value in GOOD.items()}),
        json.dumps({f"{key}_rating": value for key, value in GOOD.items()}),
        json.dumps({f"{key.title()} (1-10)": value for key, value in GOOD.items()}),
        json.dumps({**GOOD, "reason": 'It has {braces} and "quotes".'}),
    ],
)
def test_forms_of_the_same_scores(text: str) -> None:
    assert read(text) == EXPECTED


@pytest.mark.parametrize(
    ("text", "overall", "rating"),
    [
        ('{"overall": 7.5}', 7.5, 4),
        ('{"overall": "7.5/10"}', 7.5, 4),
        ('{"overall": 7.4}', 7.4, 3),
        ('{"overall": 10}', 10.0, 5),
        ('{"overall": 1}', 1.0, 0),
        ("7/10", 7.0, 3),
        ("7.5", 7.5, 4),
        ('"8"', 8.0, 4),
        ("**8/10**".strip("*"), 8.0, 4),
        ('{"rarity": null, "complexity": 11, "informativeness": "high", "overall": 6}', 6.0, 2),
    ],
)
def test_the_overall_score_is_the_rating(text: str, overall: float, rating: int) -> None:
    scores = read(text)
    assert isinstance(scores, Scores)
    assert (scores.overall, scores.rating) == (overall, rating)
    assert (scores.rarity, scores.complexity, scores.informativeness) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "empty answer"),
        ("", "empty answer"),
        (" \n", "empty answer"),
        ("<think>hm</think>", "empty answer"),
        ("null", "no scores in the answer"),
        ("{}", "no scores in the answer"),
        ("[]", "no scores in the answer"),
        ("I would rate this an 8.", "no scores in the answer"),
        ("Rarity: 3\nComplexity: 6\nInformativeness: 7\nOverall: 7", "no scores in the answer"),
        ("Overall, it is 7/10.", "no scores in the answer"),
        ("8 9", "no scores in the answer"),
        ('{"winner": "A", "reason": "better"}', "no scores in the answer"),
        ('{"score": 9}', "no scores in the answer"),
        ('{"temperature": 21.5, "unit": "C"}', "no scores in the answer"),
        ('{"overall": 7', "no scores in the answer"),
        ("{'overall': 7}", "no scores in the answer"),
        ('{"overall": NaN}', "no scores in the answer"),
        ('{"overall": Infinity}', "no scores in the answer"),
        ("{" * 5000, "no scores in the answer"),
        ('{"a":' * 50_000, "no scores in the answer"),
        ('{"overall": null}', "not a score"),
        ('{"overall": true}', "not a score"),
        ('{"overall": "high"}', "not a score"),
        ('{"overall": "7 of 10"}', "not a score"),
        ('{"overall": "3/5"}', "not a score"),
        ('{"overall": "70%"}', "not a score"),
        ('{"overall": ""}', "not a score"),
        ('{"overall": [7]}', "not a score"),
        ('{"overall": {"value": 7}}', "not a score"),
        ('{"overall": 7, "overall": 2}', "not a score"),
        ('{"overall": 7, "Overall": 2}', "not a score"),
        ('{"overall": 0}', "out of range"),
        ('{"overall": 11}', "out of range"),
        ('{"overall": -7}', "out of range"),
        ('{"overall": 0.9}', "out of range"),
        ('{"overall": "100"}', "out of range"),
        ("85", "out of range"),
        ('{"overall": 1e999}', "out of range"),
        ('The record says {"overall": 10}. I say {"overall": 2}.', "several different scores"),
    ],
)
def test_what_is_not_a_rating(text: str | None, reason: str) -> None:
    result = read(text)
    assert isinstance(result, Unrated)
    assert result.reason == reason


def test_a_truncated_answer_is_none_whatever_it_says() -> None:
    assert read(json.dumps(GOOD), "length") == Unrated(
        "truncated", "the answer was cut off at max_output_tokens"
    )


def test_a_refusal_is_none_whatever_it_says() -> None:
    assert read(None, refusal="I cannot.") == Unrated("refused", "I cannot.")
    assert read(json.dumps(GOOD), "content_filter").reason == "refused"  # type: ignore[union-attr]
    assert read("I'm sorry, I can't help with that.").reason == "no scores in the answer"  # type: ignore[union-attr]


def test_the_papers_compression() -> None:
    assert [rating_class(score) for score in range(1, 11)] == [0, 0, 0, 0, 1, 2, 3, 4, 5, 5]


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    result = read(text)
    assert isinstance(result, Unrated) or 1 <= result.overall <= 10


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["overall", "Overall", "rarity", "x"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_is_read(value: Any) -> None:
    result = read(json.dumps(value))
    assert isinstance(result, Unrated) or 1 <= result.overall <= 10
