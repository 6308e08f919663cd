"""What a teacher writes: a record of high quality in parts, and its variants of low quality."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmmixup.llm import Outcome

LETTERS = "ABCD"


@dataclass(frozen=True)
class Draft:
    """One record in the parts that can be taken out, blurred, changed or said twice.

    Attributes:
        task_type: One of `TASK_TYPES`.
        topic: What it is about, for the reasoning; may be empty.
        prompt: Question, statement or category; for a paragraph, what asks for it.
        core: The answer in short: its first sentence, the verdict, or the right choice.
        details: What explains or adds to it, a sentence each.
        options: Four choices (`mcq`).
        right: Which of them is right.
        key: The specific that the record turns on; empty where there is none.
        claims: A true sentence and false ones, for records fused of several (`mcq`, `tfq`).
        shortened: Whether the text says more than the record.
    """

    task_type: str
    topic: str
    prompt: str
    core: str
    details: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    right: int = 0
    key: str = ""
    claims: tuple[str, ...] = ()
    shortened: bool = False

    @property
    def question(self) -> str:
        """The prompt, with the choices where it has some."""
        lines = [f"{letter}) {one}" for letter, one in zip(LETTERS, self.options, strict=False)]
        return "\n".join([self.prompt, *lines])

    @property
    def answer(self) -> str:
        """The completion."""
        return " ".join([self.core, *self.details])

    @property
    def rating(self) -> int:
        """5, or 4 where it is shortened."""
        return 4 if self.shortened else 5

    def changed(self, **parts: object) -> Draft:
        """A copy with other parts."""
        return replace(self, **parts)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Variant:
    """A record of low quality.

    Attributes:
        prompt: Its prompt.
        completion: Its completion.
        kinds: Names of what was done to it, in order.
        rating: 0 to 5.
        wrong: What it says wrongly, and what it should say; empty where nothing.
    """

    prompt: str
    completion: str
    kinds: tuple[str, ...]
    rating: int
    wrong: tuple[str, str] | tuple[()] = ()


@dataclass(frozen=True)
class Attempt:
    """One answer of a model on the way to a record.

    Attributes:
        step: `write`, `rate` or `degrade`.
        number: Number of the attempt, from 0.
        outcome: The answer as it came, or why there is none.
        problem: Why it cannot be used; `None` where it can.
    """

    step: str
    number: int
    outcome: Outcome
    problem: str | None


@dataclass(frozen=True)
class Refusal:
    """Why a passage gives no record of a task type.

    Attributes:
        reason: A few words to group by.
        detail: A sentence, or what exactly came.
        attempts: What a model was asked for it.
    """

    reason: str
    detail: str = ""
    attempts: tuple[Attempt, ...] = ()
