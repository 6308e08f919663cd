"""Records by rules: right answers, distractors of a kind, variants that hold all together."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmmixup.contract import TASK_TYPES, fits_task, join_answer, split_answer
from lmmixup.mixture.choices import Choices
from lmmixup.mixture.degrade import Degrader
from lmmixup.mixture.draft import Draft, Refusal
from lmmixup.mixture.fuse import fuse, pairs
from lmmixup.mixture.passage import Passage, without_brackets
from lmmixup.mixture.prose import Span
from lmmixup.mixture.questions import questions
from lmmixup.mixture.rules import draft
from lmmixup.mixture.worsen import NOISE, REDUNDANT, VAGUE, WEIGHTS, WRONG

if TYPE_CHECKING:
    import pyarrow as pa


@pytest.fixture(scope="module")
def passages(texts: pa.Table) -> list[Passage]:
    return [
        Passage(at, row["id"], row["id"], row["source"], row["title"], row["text"])
        for at, row in enumerate(texts.to_pylist())
    ]


@pytest.fixture(scope="module")
def choices(passages: list[Passage]) -> Choices:
    near = (np.arange(len(passages))[:, None] + np.arange(1, 9)) % len(passages)
    return Choices(passages, near.astype(np.int32))


def drafts(kind: str, passages: list[Passage], choices: Choices) -> list[tuple[Passage, Draft]]:
    made = [(one, draft(one, kind, choices, Random(one.row))) for one in passages]
    return [(one, found) for one, found in made if isinstance(found, Draft)]


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_records_have_the_form_of_their_task_type(
    kind: str, passages: list[Passage], choices: Choices
) -> None:
    made = drafts(kind, passages, choices)
    assert len(made) > 100
    for _, one in made:
        prompt = "" if kind == "para" else one.question
        body = join_answer(prompt, one.answer, kind)
        assert fits_task(body, kind)
        assert split_answer(body, kind) == (prompt, one.answer)
        assert one.rating in (4, 5)


def test_questions_are_answered_by_the_passage(choices: Choices) -> None:
    text = (
        "Anna Eklund (born 6 June 1929 in Turku) was a Finnish painter. She was awarded the Golden "
        "Brush in 1960. Anna Eklund was educated in Bergen. In May 1971, Anna Eklund sold all her "
        "pictures to a museum in Cork."
    )
    passage = Passage(0, "x", "x", "s", "Anna Eklund", text)
    asked = {one.text: one.short for one in questions(passage, choices)}
    assert asked["When was Anna Eklund born?"] == "On 6 June 1929."
    assert asked["Who was Anna Eklund?"].endswith("was a Finnish painter.")
    assert asked["When was Anna Eklund awarded the Golden Brush?"] == "In 1960."
    assert asked["Where was Anna Eklund educated?"] == "In Bergen."
    assert "What happened in May 1971 in connection with Anna Eklund?" in asked


def test_a_question_says_what_it_is_about(choices: Choices) -> None:
    text = (
        "The Fighting Vigilantes is a 1947 American western film directed by Ray Taylor. The film "
        "was released on November 15, 1947, by Producers Releasing. The Fighting Vigilantes was "
        "shot in Utah."
    )
    passage = Passage(0, "x", "x", "s", "The Fighting Vigilantes", text)
    asked = {one.text for one in questions(passage, choices)}
    assert "In connection with The Fighting Vigilantes: when was the film released?" in asked
    assert "Where was The Fighting Vigilantes shot?" in asked


def test_false_statements_change_one_specific_and_are_put_right(
    passages: list[Passage], choices: Choices
) -> None:
    verdicts = {"True.": 0, "False.": 0}
    for passage, one in drafts("tfq", passages, choices):
        verdicts[one.core] += 1
        plain = [without_brackets(sentence) for sentence in passage.standing]
        statement = re.sub(r"^About [^:]+: ", "", one.prompt)
        if one.core == "True.":
            assert statement in plain
            continue
        assert statement not in plain
        said = re.match(r"It is (.+), not (.+?): (.+)$", one.details[0])
        assert said is not None
        right, wrong, sentence = said.groups()
        assert sentence in plain
        assert right in passage.text
        assert re.search(rf"\b{re.escape(wrong)}\b", passage.text) is None
        assert wrong in statement
    assert min(verdicts.values()) > 20


def test_choices_are_of_one_kind_and_one_is_right(
    passages: list[Passage], choices: Choices
) -> None:
    for passage, one in drafts("mcq", passages, choices):
        assert len(set(one.options)) == 4
        assert one.core == f"{'ABCD'[one.right]}) {one.key}"
        assert one.options[one.right] == one.key
        others = [option for option in one.options if option != one.key]
        assert all(re.search(rf"\b{re.escape(other)}\b", passage.text) is None for other in others)
        assert {option[:1].isdigit() for option in one.options} == {one.key[:1].isdigit()}
        stem = one.prompt.split("? ", 1)[1]
        assert stem.count("____") == 1
        filled = [
            stem.replace("a(n) ____", f"{a} ____").replace("____", one.key) for a in ("a", "an")
        ]
        assert any(text in without_brackets(" ".join(passage.standing)) for text in filled)


def test_only_titled_passages_have_a_category(passages: list[Passage], choices: Choices) -> None:
    untitled = [one for one in passages if not one.title]
    assert len(untitled) == 2
    made = [draft(one, "cs", choices, Random(0)) for one in untitled]
    assert [one.reason for one in made if isinstance(one, Refusal)] == ["no-title"] * 2
    assert all(one.prompt == passage.title for passage, one in drafts("cs", passages, choices))


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_variants_are_worse_and_together_hold_all(
    kind: str, passages: list[Passage], choices: Choices
) -> None:
    degrader, seen = Degrader(choices), set()
    for passage, one in drafts(kind, passages, choices):
        number = 2 + passage.row % 9
        made = degrader.variants(one, passage, number, Random(passage.row))
        assert made == degrader.variants(one, passage, number, Random(passage.row))
        assert 2 <= len(made) <= number
        pairs_ = {(variant.prompt, variant.completion) for variant in made}
        assert len(pairs_) == len(made)
        assert (one.question, one.answer) not in pairs_
        for variant in made:
            seen.update(variant.kinds)
            assert 0 <= variant.rating <= 3
            assert variant.kinds
            assert (WRONG in variant.kinds) == bool(variant.wrong)
            if variant.wrong:
                assert variant.wrong[1] in variant.completion
        both = made[:2]
        assert not any({VAGUE, WRONG} & set(variant.kinds) for variant in both)
        whole = "\n".join(f"{variant.prompt}\n{variant.completion}" for variant in both)
        for part in [one.prompt, *one.options, *one.details]:
            assert part in whole
        assert one.core.rstrip(".") in whole
    assert seen == set(WEIGHTS) - {NOISE}


def test_wrong_numbers_look_like_the_right_ones(passages: list[Passage], choices: Choices) -> None:
    passage = passages[0]
    for text, kind in (("1,250", "number"), ("3.75", "number"), ("1066", "year"), ("7", "number")):
        others = choices.like(Span(0, len(text), kind, text), text, passage, 3, Random(1))
        assert len(others) == 3
        assert text not in others
        assert all(
            ("," in one) == ("," in text) and ("." in one) == ("." in text) for one in others
        )


@pytest.mark.parametrize("kind", TASK_TYPES)
def test_two_records_become_one_that_holds_both(
    kind: str, passages: list[Passage], choices: Choices
) -> None:
    made = [one for _, one in drafts(kind, passages, choices)]
    for one, other in zip(made[::2], made[1::2], strict=False):
        both = fuse(one, other, Random(0))
        prompt = "" if kind == "para" else both.question
        assert fits_task(join_answer(prompt, both.answer, kind), kind)
        text = f"{both.question}\n{both.answer}"
        if kind == "mcq":
            assert both.options[both.right] in (one.claims[0], other.claims[0])
            true = {one.claims[0], other.claims[0]} & set(both.options)
            assert len(true) == 1
        else:
            assert all(part in text for part in (*one.details, *other.details))
        if kind == "tfq":
            assert both.core == ("True." if one.core == other.core == "True." else "False.")


def test_pairs_are_similar_of_different_articles_and_taken_once() -> None:
    idx = np.array([[1, 2], [0, 2], [3, 0], [2, 0]], np.int32)
    sim = np.array([[0.99, 0.8], [0.99, 0.7], [0.9, 0.8], [0.9, 0.1]], np.float32)
    bounds = (0.3, 0.95)
    assert pairs(idx, sim, ["a", "b", "c", "d"], most=9, bounds=bounds) == [(2, 3)]
    assert pairs(idx, sim, ["a", "b", "c", "c"], most=9, bounds=bounds) == [(0, 2)]
    assert pairs(idx, sim, ["a", "b", "c", "d"], most=0, bounds=bounds) == []


def test_repeating_is_seen_in_the_text(passages: list[Passage], choices: Choices) -> None:
    degrader = Degrader(choices)
    for passage, one in drafts("para", passages, choices):
        for variant in degrader.variants(one, passage, 8, Random(passage.row)):
            if variant.kinds == (REDUNDANT,):
                assert len(variant.prompt + variant.completion) > len(one.question + one.answer)
