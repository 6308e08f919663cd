"""The one interface of all teachers, and the one that needs no model."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

from lmmixup.mixture.degrade import Degrader
from lmmixup.mixture.draft import Attempt, Draft, Refusal
from lmmixup.mixture.fuse import fuse
from lmmixup.mixture.rules import draft

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from types import TracebackType

    from lmmixup.mixture.choices import Choices
    from lmmixup.mixture.config import MixtureConfig
    from lmmixup.mixture.draft import Variant
    from lmmixup.mixture.passage import Passage

CONSTRUCTION = "construction"
"""What stands in `rating_source` where a rating follows from how a record was made."""


@dataclass(frozen=True)
class Ask:
    """What a teacher is asked for.

    Attributes:
        passage: What the record is to be about.
        task_type: One of `TASK_TYPES`.
        num_variants: Records of low quality that are wanted.
    """

    passage: Passage
    task_type: str
    num_variants: int


@dataclass(frozen=True)
class Written:
    """A record of high quality and its variants.

    Attributes:
        ask: What was asked for.
        draft: The record.
        variants: Two or more of low quality; the first two hold all of it together.
        rating: 0 to 5.
        rating_source: `construction`, or the judge.
        think: The teacher's own reasoning; `None` where it gives none.
        attempts: What a model was asked for it.
    """

    ask: Ask
    draft: Draft
    variants: tuple[Variant, ...]
    rating: int
    rating_source: str
    think: str | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Fused:
    """The target of two records.

    Attributes:
        draft: The record.
        rating: 0 to 5.
        rating_source: As of `Written`.
        think: As of `Written`.
        attempts: As of `Written`.
    """

    draft: Draft
    rating: int
    rating_source: str
    think: str | None = None
    attempts: tuple[Attempt, ...] = ()


Outcome: TypeAlias = Written | Refusal
FusedOutcome: TypeAlias = Fused | Refusal


class Teacher(Protocol):
    """Writes records; use it as an async context manager.

    Attributes:
        name: Stands in the manifest.
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

    def know(self, choices: Choices) -> None:
        """Takes the specifics of the passages that it is asked about next."""

    def write(self, asks: Iterable[Ask]) -> AsyncGenerator[Outcome]:
        """One outcome an ask, in their order."""

    def fuse(self, pairs: Iterable[tuple[Written, Written]]) -> AsyncGenerator[FusedOutcome]:
        """One outcome a pair, in their order."""

    def figures(self) -> dict[str, Any]:
        """Its own numbers for the manifest; they do not depend on what was in a cache."""


def random_for(config: MixtureConfig, *names: str) -> Random:
    """Numbers that depend on the seed and on what they are for, not on what came before."""
    return Random("|".join([str(config.seed), *names]))  # noqa: S311


class RulesTeacher:
    """Shapes the passages' own sentences.

    Args:
        config: The seed.
    """

    name = "rules"

    def __init__(self, config: MixtureConfig) -> None:
        self._config = config
        self._choices: Choices | None = None
        self._degrader: Degrader | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open."""

    def know(self, choices: Choices) -> None:
        """Takes the specifics of the passages that it is asked about next."""
        self._choices, self._degrader = choices, Degrader(choices)

    async def write(self, asks: Iterable[Ask]) -> AsyncGenerator[Outcome]:
        """One outcome an ask, in their order."""
        for ask in asks:
            yield self._write(ask)

    def _write(self, ask: Ask) -> Outcome:
        if self._choices is None or self._degrader is None:
            raise RuntimeError("the teacher was asked before it knows the passages")
        random = random_for(self._config, ask.task_type, ask.passage.id)
        made = draft(ask.passage, ask.task_type, self._choices, random)
        if isinstance(made, Refusal):
            return made
        variants = self._degrader.variants(made, ask.passage, ask.num_variants, random)
        return Written(ask, made, tuple(variants), made.rating, CONSTRUCTION)

    async def fuse(self, pairs: Iterable[tuple[Written, Written]]) -> AsyncGenerator[FusedOutcome]:
        """One outcome a pair, in their order."""
        for one, other in pairs:
            random = random_for(self._config, "fuse", one.ask.task_type, one.ask.passage.id)
            made = fuse(one.draft, other.draft, random)
            yield Fused(made, made.rating, CONSTRUCTION)

    def figures(self) -> dict[str, Any]:
        """None."""
        return {}
