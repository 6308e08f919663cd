"""What a mixer writes: reasoning and answer in tags, and the form of an answer by task type.

This is the one place that knows the tags; prompts, rewards and readers of outputs use it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TASK_TYPES = ("qa", "tfq", "mcq", "cs", "para")
"""Question and answer, true or false, multiple choice, category and statement, paragraph."""

_WHOLE = re.compile(r"\s*<think>(?P<think>.*?)</think>\s*<answer>(?P<answer>.*?)</answer>\s*", re.S)
_TAG = re.compile(r"</?(?:think|answer)>")

_MCQ_ANSWER = r"\(?[A-Da-d]\b[^\n]*"
_TFQ_ANSWER = r"(?:true|false|yes|no)\b[^\n]*"
ANSWER_PATTERNS = {
    "qa": re.compile(r"Q:\s*\S.*?\n\s*A:\s*\S.*", re.S),
    "mcq": re.compile(
        r"Q:\s*\S.*?\n\s*A\)\s*\S.*?\n\s*B\)\s*\S.*?\n\s*C\)\s*\S.*?\n\s*D\)\s*\S.*?\n\s*"
        rf"Answer:\s*{_MCQ_ANSWER}",
        re.S,
    ),
    "tfq": re.compile(rf"\S.*?\n\s*Answer:\s*{_TFQ_ANSWER}", re.S | re.I),
    "cs": re.compile(r"C:\s*\S.*?\n\s*S:\s*\S.*", re.S),
    "para": re.compile(r"\S.*", re.S),
}
"""What the whole answer, without space around it, must match."""


@dataclass(frozen=True)
class Output:
    """A parsed output.

    Attributes:
        think: The reasoning, without space around it; may be empty.
        answer: The answer, without space around it; may be empty.
    """

    think: str
    answer: str


def parse(text: str) -> Output | None:
    r"""Takes an output apart.

    Args:
        text: What a mixer wrote.

    Returns:
        Reasoning and answer, or `None` where the text is not exactly one `<think>` and one
        `<answer>` after it. Only white space may stand outside the tags.

    Source:
        METHOD §3.

    Example:
        >>> parse("<think>\ntwo and two\n</think>\n\n<answer>\n4\n</answer>")
        Output(think='two and two', answer='4')
        >>> parse("4") is None
        True
    """
    found = _WHOLE.fullmatch(text)
    if found is None or len(_TAG.findall(text)) != 4:
        return None
    return Output(found["think"].strip(), found["answer"].strip())


def render(think: str, answer: str) -> str:
    r"""Puts reasoning and answer into tags, as `parse` reads them.

    Example:
        >>> render("two and two", "4")
        '<think>\ntwo and two\n</think>\n\n<answer>\n4\n</answer>'
    """
    return f"<think>\n{think}\n</think>\n\n<answer>\n{answer}\n</answer>"


def fits_task(answer: str, task_type: str) -> bool:
    r"""Whether an answer has the form of its task type.

    Args:
        answer: The answer alone.
        task_type: One of `TASK_TYPES`.

    Raises:
        KeyError: An unknown task type.

    Source:
        METHOD §3.

    Example:
        >>> fits_task("Q: Why?\nA: Because.", "qa"), fits_task("Because.", "qa")
        (True, False)
    """
    return ANSWER_PATTERNS[task_type].fullmatch(answer.strip()) is not None
