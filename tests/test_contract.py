"""The contract of outputs: tags, and the form of answers."""

from __future__ import annotations

from typing import Any

import pytest

from lmmixup.contract import (
    ANSWER_PATTERNS,
    FORMS,
    TASK_TYPES,
    MixRecord,
    Output,
    fits_task,
    messages,
    parse,
    prompt_ids,
    render,
    split_answer,
)
from lmmixup.distill.parts import CONTRACT_BYTES, FRAME_BYTES
from lmmixup.marks import mark_of

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


@pytest.mark.parametrize(
    ("task_type", "answer", "prompt", "completion"),
    [
        ("qa", "Q: Why?\nIs it?\nA: Because.\nA: no", "Why?\nIs it?", "Because.\nA: no"),
        ("mcq", MCQ, "Which?\nA) one\nB) two\nC) three\nD) four", "B) two"),
        ("tfq", "The sky is blue.\nanswer: true", "The sky is blue.", "true"),
        ("cs", "C: animals\n\nS: Cats purr.", "animals", "Cats purr."),
        ("para", " Anything.\nElse. ", "", "Anything.\nElse."),
    ],
)
def test_an_answer_comes_apart(task_type: str, answer: str, prompt: str, completion: str) -> None:
    assert split_answer(answer, task_type) == (prompt, completion)


def test_what_has_not_the_form_does_not_come_apart() -> None:
    assert split_answer("Because.", "qa") is None
    assert set(ANSWER_PATTERNS) == set(FORMS) == set(TASK_TYPES)


def record(task_type: str = "qa", number: int = 3) -> MixRecord:
    pairs: Any = [{"prompt": f"Wie {n}?", "completion": f"So {n}: ü"} for n in range(number)]
    return {"task_type": task_type, "records": pairs}


@pytest.mark.parametrize("task_type", TASK_TYPES)
def test_the_turns_hold_contract_form_and_records(task_type: str) -> None:
    system, user = messages(record(task_type))
    assert (system["role"], user["role"]) == ("system", "user")
    assert all(tag in system["content"] for tag in ("<think>", "</think>", "<answer>", "</answer>"))
    assert FORMS[task_type] in user["content"]
    for number, pair in enumerate(record()["records"], 1):
        shown = f"{pair['prompt']}\n\nCompletion:\n{pair['completion']}\n[end of record {number} "
        assert shown in user["content"]
        assert f"[record {number} " in user["content"]


@pytest.mark.parametrize("number", [1, 3, 2000])
def test_the_frame_around_a_record_is_bounded(number: int) -> None:
    asked = record(number=number)
    size = sum(len(turn["content"].encode()) for turn in messages(asked))
    texts = sum(len((p["prompt"] + p["completion"]).encode()) for p in asked["records"])
    assert texts < size - CONTRACT_BYTES + 200
    assert size <= CONTRACT_BYTES + texts + number * FRAME_BYTES


def test_marks_depend_on_all_texts_and_where_they_end() -> None:
    marks = {mark_of(*texts) for texts in [("ab", "c"), ("a", "bc"), ("abc",), ("ab", "d")]}
    assert len(marks) == 4


def test_no_text_holds_its_mark() -> None:
    """Every mark of four digits stands in the text, so it takes a longer one."""
    text = " ".join(f"{number:04x}" for number in range(1 << 16))
    mark = mark_of(text, "other")
    assert len(mark) > 4
    assert mark not in text
    assert len(mark_of("text", "other")) == 4


@pytest.mark.torch
def test_ids_are_those_of_the_template_up_to_the_answer() -> None:
    """A tokenizer of transformers with a template; training appends the answer to the same ids."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([turn["content"] for turn in messages(record())], trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    fast.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    ids = prompt_ids(record(), fast)
    system, user = (turn["content"] for turn in messages(record()))
    assert fast.decode(ids) == (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    answer = {"role": "assistant", "content": render("because", "Q: a\nA: b")}
    whole = fast.apply_chat_template(
        [*messages(record()), answer], tokenize=True, return_dict=False
    )
    assert whole[: len(ids)] == ids
