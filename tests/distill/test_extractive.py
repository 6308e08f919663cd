"""What is taken of some records: nothing twice, nothing cut, nothing made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup.distill.extractive import NO_COMPLETION, OVER_LENGTH, extract
from lmmixup.reference.extract import words

if TYPE_CHECKING:
    from lmmixup.contract import Pair


def pairs(*texts: tuple[str, str]) -> list[Pair]:
    return [{"prompt": prompt, "completion": completion} for prompt, completion in texts]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Why?", "why", "What is it?", "How come that it is?", ""]),
            st.lists(st.sampled_from(["One two three.", "Four five six!", "Seven", "两个字。"]),
                     max_size=4).map(" ".join),
        ),
        min_size=1, max_size=8,
    ),
    st.integers(1, 40),
)  # fmt: skip
@settings(deadline=None)
def test_keeps_the_budget_and_makes_nothing_up(texts: list[tuple[str, str]], tokens: int) -> None:
    taken = extract(pairs(*texts), tokens)
    assert len(taken.completion.encode()) <= 4 * tokens
    everything = " ".join(completion for _, completion in texts)
    numbers = {str(number) for number in range(1, 9)}
    assert set(words(taken.completion)) - numbers <= set(words(everything))
    assert set(taken.left) <= set(range(len(texts)))
    if taken.num_questions == 0:
        assert set(taken.left) == set(range(len(texts)))


def test_one_question_keeps_the_fullest_answer_and_adds_news() -> None:
    taken = extract(
        pairs(
            ("Why is the sky blue?", "Because of the air."),
            ("why is the sky blue", "The air scatters blue light more than red light.\nBecause!"),
            ("Why is the sky blue??", "Sunsets look orange near dust. Air scatters light."),
        ),
        200,
    )
    assert taken.prompt == "Why is the sky blue?"
    assert taken.completion == (
        "The air scatters blue light more than red light.\nBecause!\n\n"
        "Sunsets look orange near dust."
    )
    assert (taken.num_redundant, taken.num_fragments, taken.num_over) == (2, 0, 0)
    assert not taken.left


def test_different_questions_stay_with_their_answers() -> None:
    taken = extract(pairs(("Capital of France?", "Paris."), ("Capital of Italy?", "Rome.")), 100)
    assert taken.prompt == "(1) Capital of France?\n(2) Capital of Italy?"
    assert taken.completion == "(1) Paris.\n(2) Rome."


def test_prompts_that_are_nearly_the_same_are_different_questions() -> None:
    asked = "Write a review with {} stars of five about an app that records the voice of its user"
    taken = extract(pairs((asked.format(1), "It is bad."), (asked.format(5), "It is good.")), 100)
    assert taken.num_questions == 2
    assert taken.completion == "(1) It is bad.\n(2) It is good."


def test_a_long_answer_that_comes_twice_stands_once() -> None:
    answer = "Divide the part by the whole and multiply by one hundred."
    taken = extract(pairs(("Percentages?", answer), ("How to get a percentage", answer + " ")), 100)
    assert (taken.prompt, taken.completion) == ("Percentages?", answer)
    assert not taken.left


def test_lists_inside_of_answers_do_not_mix_with_the_numbers() -> None:
    taken = extract(pairs(("A?", "1. a\n2. b"), ("B?", "c")), 100)
    assert taken.completion == "(1) 1. a\n2. b\n\n(2) c"


def test_an_item_that_joins_another_list_leaves_its_number_behind() -> None:
    mine = "1. Sleep eight hours.\n2. Drink plenty of clean water with each of your meals."
    other = "1. Sleep eight hours.\n2. Walk to work by 10. street.\n- Read books."
    taken = extract(pairs(("Tips?", mine), ("tips", other)), 100)
    assert taken.completion == f"{mine}\n\nWalk to work by 10. street."
    assert (taken.num_redundant, taken.num_fragments) == (1, 1)


def test_code_and_lists_stay_whole() -> None:
    code = "def f(x):\n    # twice\n    return 2 * x\n\n1. Call it.\n2. Print it."
    assert extract(pairs(("Write f", code)), 100).completion == code


def test_says_why_a_record_did_not_go_in() -> None:
    taken = extract(pairs(("A?", "x y z"), ("B?", "  "), ("C?", "w " * 400)), 20)
    assert taken.completion == "x y z"
    assert taken.left == {1: NO_COMPLETION, 2: OVER_LENGTH}


def test_a_text_above_the_budget_loses_whole_sentences_and_counts_them() -> None:
    taken = extract(pairs(("Q?", "One is here. Two is here. Three is here.")), 7)
    assert taken.completion == "One is here. Two is here."
    assert taken.num_over == 1


@pytest.mark.parametrize("script", ["今天天气很好。明天会下雨。", "สวัสดีชาวโลก", "Ünïcödé wörks."])
def test_scripts_without_spaces_have_words(script: str) -> None:
    assert len(words(script)) >= 2
    assert extract(pairs(("?", script)), 100).completion == script
