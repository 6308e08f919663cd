"""The teacher that asks a model on an OpenAI-compatible server."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from lmmixup.errors import LmmixupError
from lmmixup.llm import Answer, Session, answers
from lmmixup.mixture.draft import Attempt, Draft, Refusal
from lmmixup.mixture.requests import (
    degrade_request,
    fuse_request,
    rate_request,
    read_record,
    read_variants,
    write_request,
)
from lmmixup.mixture.teacher import Fused, Written
from lmmixup.rate.rubric import load_rubrics
from lmmixup.rate.scores import Unrated, read_scores

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from pathlib import Path

    from lmmixup.llm import ChatRequest
    from lmmixup.mixture.choices import Choices
    from lmmixup.mixture.config import MixtureConfig
    from lmmixup.mixture.draft import Variant
    from lmmixup.mixture.requests import Record
    from lmmixup.mixture.teacher import Ask, FusedOutcome, Outcome
    from lmmixup.progress import Reporter


class ChatTeacher(Session):
    """Has a model write, rate, degrade and fuse; asks again where an answer cannot be used.

    Args:
        config: Models, server, limits, retries, least rating.
        work: Folder that survives a kill.
        reporter: Is told tokens and cost.

    Source:
        METHOD §2.
    """

    def __init__(self, config: MixtureConfig, work: Path, reporter: Reporter) -> None:
        super().__init__(config, work, reporter)
        self.name = config.teacher
        self._config = config
        self._rubrics = load_rubrics(None)
        self._num_done = self._num_answers = self._num_again = 0

    def know(self, choices: Choices) -> None:
        """A model needs no list of specifics."""

    async def write(self, asks: Iterable[Ask]) -> AsyncGenerator[Outcome]:
        """One outcome an ask, in their order.

        Raises:
            LmmixupError: The server cannot be reached or refuses everything, or the cost limit is
                reached; says where the answers are.
        """
        asked = answers(((_Writer(self), ask) for ask in asks), self._config.concurrency)
        try:
            async with aclosing(asked) as outcomes:
                async for outcome in outcomes:
                    self._count(outcome)
                    yield outcome
        except LmmixupError as error:
            raise self.with_progress(error, self._num_done, "records") from error

    async def fuse(self, pairs: Iterable[tuple[Written, Written]]) -> AsyncGenerator[FusedOutcome]:
        """One outcome a pair, in their order.

        Raises:
            LmmixupError: As `write`.
        """
        asked = answers(((_Fuser(self), pair) for pair in pairs), self._config.concurrency)
        try:
            async with aclosing(asked) as outcomes:
                async for outcome in outcomes:
                    self._count(outcome)
                    yield outcome
        except LmmixupError as error:
            raise self.with_progress(error, self._num_done, "records") from error

    def figures(self) -> dict[str, Any]:
        """Answers, and how many of them were asked for again."""
        return {"answers": self._num_answers, "answers_asked_again": self._num_again}

    async def ask_write(self, ask: Ask) -> Outcome:
        """Writes one record and its variants."""
        attempts: list[Attempt] = []
        made = await self._record(
            ask.task_type, lambda number: write_request(ask, self._config, number), attempts
        )
        if isinstance(made, Refusal):
            return Refusal(made.reason, made.detail, tuple(attempts))
        record, rating = made
        variants = await self._variants(ask, record, attempts)
        if isinstance(variants, Refusal):
            return Refusal(variants.reason, variants.detail, tuple(attempts))
        draft = Draft(ask.task_type, ask.passage.topic, record.prompt, record.completion)
        think = record.think if self._config.cot else None
        return Written(ask, draft, variants, rating, self._judge, think, attempts=tuple(attempts))

    async def ask_fuse(self, pair: tuple[Written, Written]) -> FusedOutcome:
        """Writes the target of two records."""
        one, other = pair
        kind = one.ask.task_type
        attempts: list[Attempt] = []
        made = await self._record(
            kind, lambda number: fuse_request(one, other, self._config, number), attempts
        )
        if isinstance(made, Refusal):
            return Refusal(made.reason, made.detail, tuple(attempts))
        record, rating = made
        topic = " and ".join(filter(None, (one.draft.topic, other.draft.topic)))
        draft = Draft(kind, topic, record.prompt, record.completion)
        think = record.think if self._config.cot else None
        return Fused(draft, rating, self._judge, think, attempts=tuple(attempts))

    @property
    def _judge(self) -> str:
        return self._config.judge or self._config.model or ""

    async def _record(
        self, kind: str, request: Callable[[int], ChatRequest], attempts: list[Attempt]
    ) -> tuple[Record, int] | Refusal:
        """A record that rates high enough, or why there is none."""
        refusal = Refusal("not-asked")
        for number in range(self._config.retries + 1):
            outcome = await self.client.ask(request(number))
            if not isinstance(outcome, Answer):
                attempts.append(Attempt("write", number, outcome, outcome.reason))
                return Refusal(outcome.reason, outcome.detail)
            record = read_record(outcome, kind)
            attempts.append(Attempt("write", number, outcome, _why(record)))
            if isinstance(record, Refusal):
                refusal = record
                continue
            rated = await self._rate(kind, record, number, attempts)
            if not isinstance(rated, Refusal):
                return record, rated
            refusal = rated
        return refusal

    async def _variants(
        self, ask: Ask, record: Record, attempts: list[Attempt]
    ) -> tuple[Variant, ...] | Refusal:
        """Variants of a record, or why there are none."""
        variants: tuple[Variant, ...] | Refusal = Refusal("not-asked")
        for number in range(self._config.retries + 1):
            outcome = await self.client.ask(degrade_request(ask, record, self._config, number))
            if isinstance(outcome, Answer):
                variants = read_variants(outcome, record, ask, self._config)
            else:
                variants = Refusal(outcome.reason, outcome.detail)
            attempts.append(Attempt("degrade", number, outcome, _why(variants)))
            if not isinstance(variants, Refusal) or not isinstance(outcome, Answer):
                break
        return variants

    async def _rate(
        self, kind: str, record: Record, number: int, attempts: list[Attempt]
    ) -> int | Refusal:
        request = rate_request(self._judge, self._rubrics, kind, record, self._config)
        outcome = await self.client.ask(request)
        if not isinstance(outcome, Answer):
            rated: int | Refusal = Refusal("unrated", f"{outcome.reason}: {outcome.detail}")
        else:
            scores = read_scores(outcome)
            if isinstance(scores, Unrated):
                rated = Refusal("unrated", f"{scores.reason}: {scores.detail}")
            elif scores.rating < self._config.min_rating:
                least = self._config.min_rating
                rated = Refusal("rated-low", f"expected a rating from {least}, got {scores.rating}")
            else:
                rated = scores.rating
        attempts.append(Attempt("rate", number, outcome, _why(rated)))
        return rated

    def _count(self, outcome: Outcome | FusedOutcome) -> None:
        self._num_done += 1
        self._num_answers += len(outcome.attempts)
        self._num_again += sum(one.number > 0 for one in outcome.attempts)
        self._reporter.beside(str(self.bill))


class _Writer:
    """Asks a teacher for records, as `llm.answers` wants it."""

    def __init__(self, teacher: ChatTeacher) -> None:
        self._teacher = teacher

    async def ask(self, request: Ask) -> Outcome:
        return await self._teacher.ask_write(request)

    def stop(self) -> None:
        self._teacher.stop()


class _Fuser:
    """The same for targets of two."""

    def __init__(self, teacher: ChatTeacher) -> None:
        self._teacher = teacher

    async def ask(self, request: tuple[Written, Written]) -> FusedOutcome:
        return await self._teacher.ask_fuse(request)

    def stop(self) -> None:
        self._teacher.stop()


def _why(result: object) -> str | None:
    return f"{result.reason}: {result.detail}" if isinstance(result, Refusal) else None
