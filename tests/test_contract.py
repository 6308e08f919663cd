"""The contract of outputs: tags, and the form of answers."""

from __future__ import annotations

import pytest

from lmmixup.contract import TASK_TYPES, Output, fits_task, parse, render

MCQ = "Q: Which?\nA) one\nB) two\nC) three\nD) four\nAnswer: B) two"


def test_what_is_rendered_is_parsed() -> None:
    assert parse(render("a\n\nb", "Q: x\nA: y")) == Output("a\n\nb", "Q: x\nA: y")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no tags",
        "<answer>a</answer>",
        "<think>t</think>",
        "<answer>a</answer><think>t</think>",
        "Sure! <think>t</think><answer>a</answer>",
        "<think>t</think><answer>a</answer> Done.",
        "<think>t</think> and <answer>a</answer>",
        "<think>t</think><answer>a</answer><answer>b</answer>",
        "<think>t<think>u</think></think><answer>a</answer>",
        "<think>t</think><answer>a",
        "<Think>t</Think><answer>a</answer>",
    ],
)
def test_anything_else_is_not_an_output(text: str) -> None:
    assert parse(text) is None


def test_white_space_may_stand_outside() -> None:
    assert parse("\n<think></think>\n\n\n<answer> a </answer>\n") == Output("", "a")


@pytest.mark.parametrize(
    ("task_type", "answer", "fits"),
    [
        ("qa", "Q: Why?\nA: Because.\nAnd so on.", True),
        ("qa", "Q: Why? A: Because.", False),
        ("qa", "A: Because.", False),
        ("qa", "Q: Why?\nA:", False),
        ("mcq", MCQ, True),
        ("mcq", MCQ.replace("D) four\n", ""), False),
        ("mcq", MCQ.replace("Answer: B) two", "Answer: E"), False),
        ("mcq", MCQ.replace("Answer: B) two", ""), False),
        ("tfq", "The sky is blue.\nAnswer: True", True),
        ("tfq", "The sky is blue.\nAnswer: maybe", False),
        ("tfq", "Answer: True", False),
        ("cs", "C: animals\nS: Cats purr.", True),
        ("cs", "S: Cats purr.\nC: animals", False),
        ("para", "Anything.", True),
        ("para", " \n", False),
    ],
)
def test_answers_have_the_form_of_their_task(task_type: str, answer: str, fits: bool) -> None:
    assert task_type in TASK_TYPES
    assert fits_task(answer, task_type) is fits
