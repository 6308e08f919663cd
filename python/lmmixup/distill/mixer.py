"""The one interface of all mixers, and what they hand back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping
    from types import TracebackType

    from lmmixup.distill.part import Part
    from lmmixup.llm import Outcome


@dataclass(frozen=True)
class Made:
    """A record that a mixer made.

    Attributes:
        prompt: Its prompt.
        completion: Its completion; not empty.
        task_type: One of `TASK_TYPES`, or `None`.
        think: The mixer's reasoning, where it gives one.
        left: Why a source did not go in, by its place in the part; empty where all did.
    """

    prompt: str
    completion: str
    task_type: str | None
    think: str | None = None
    left: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """Why there is no record.

    Attributes:
        reason: A few words to group by.
        detail: A sentence, or what exactly came.
    """

    reason: str
    detail: str = ""


Result: TypeAlias = Made | Refused


@dataclass(frozen=True)
class Attempt:
    """One answer of a model, and what was read in it.

    Attributes:
        outcome: The answer as it came, or why there is none.
        result: The record in it, or why there is none.
    """

    outcome: Outcome
    result: Result


@dataclass(frozen=True)
class Mixed:
    """What became of one part.

    Attributes:
        part: The part.
        result: The record, or why there is none.
        attempts: The answers behind it, where a model was asked.
    """

    part: Part
    result: Result
    attempts: tuple[Attempt, ...] = ()


class Mixer(Protocol):
    """Makes records of parts; use it as an async context manager.

    Attributes:
        name: Stands in the column `mixer`.
    """

    name: str

    async def __aenter__(self) -> Self:
        """Opens what it needs."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes it."""

    def mix(self, parts: Iterable[Part]) -> AsyncGenerator[Mixed]:
        """One outcome a part, in their order; parts are read as far ahead as needed."""

    def figures(self) -> dict[str, Any]:
        """Its own numbers for the manifest; they do not depend on what was in a cache."""
