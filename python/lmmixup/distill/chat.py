"""The mixer that asks a model on an OpenAI-compatible server."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from lmmixup.contract import messages, parse, split_answer
from lmmixup.distill.mixer import Attempt, Made, Mixed, Refused, Result
from lmmixup.errors import LmmixupError
from lmmixup.llm import Answer, Batches, ChatRequest, Failure, Outcome, Session, answers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from pathlib import Path

    from lmmixup.distill.config import DistillConfig
    from lmmixup.distill.part import Part
    from lmmixup.progress import Reporter


class ChatMixer(Session):
    """Asks a model, reads its answer by the contract, and asks again where it breaks it.

    Args:
        config: Model, server, limits, retries.
        work: Folder that survives a kill.
        reporter: Is told tokens and cost.
    """

    def __init__(self, config: DistillConfig, work: Path, reporter: Reporter) -> None:
        super().__init__(config, work, reporter)
        self.name = config.mixer
        self._config = config
        self._num_asked = self._num_again = 0

    async def mix(self, parts: Iterable[Part]) -> AsyncGenerator[Mixed]:
        """One outcome a part, in their order.

        Raises:
            LmmixupError: The server cannot be reached or refuses everything, or the cost limit is
                reached; says where the answers are.
        """
        num_done = 0
        try:
            asked = answers(((self, part) for part in parts), self._config.concurrency)
            async with aclosing(asked) as all_mixed:
                async for mixed in all_mixed:
                    num_done += 1
                    self._num_asked += len(mixed.attempts)
                    self._num_again += len(mixed.attempts) - 1
                    self._reporter.beside(str(self.bill))
                    yield mixed
        except LmmixupError as error:
            raise self.with_progress(error, num_done, "clusters") from error

    async def ask(self, part: Part) -> Mixed:
        """Asks about one part until an answer keeps the contract, or there were enough."""
        attempts: list[Attempt] = []
        for number in range(self._config.num_attempts):
            outcome = await self.client.ask(self.request(part, number))
            attempts.append(Attempt(outcome, self.read(outcome, part)))
            if isinstance(attempts[-1].result, Made) or not isinstance(outcome, Answer):
                break
        return Mixed(part, attempts[-1].result, tuple(attempts))

    def request(self, part: Part, number: int) -> ChatRequest:
        """What is asked about a part at an attempt, from 0."""
        return chat_request(tuple(messages(part.record())), self._config, number)

    def read(self, outcome: Outcome, part: Part) -> Result:
        """The record in an answer, or why there is none."""
        return read_result(outcome, part)

    async def fetch(self, parts: Callable[[], Iterable[Part]]) -> None:
        """Fills the cache by the Batch API, attempt by attempt.

        Args:
            parts: Gives all parts, again each time.

        Notes:
            What a batch gives no answer to is not asked directly; the next run asks for it again.
        """
        batches = Batches(self.client, self._config, self._work, self._reporter)
        failures: dict[bytes, Failure] = {}
        for number in range(self._config.num_attempts):
            waiting = (part for part in parts() if self._is_open(part, number))
            failures |= await batches.fetch(self.request(part, number) for part in waiting)
        self.client.batch_failures = failures

    def _is_open(self, part: Part, number: int) -> bool:
        """Whether all attempts before this one were answered, and none with a record."""
        for before in range(number):
            known = self.cache.get(self.request(part, before).key())
            if known is None or isinstance(self.read(known[0], part), Made):
                return False
        return True

    def figures(self) -> dict[str, Any]:
        """Answers, and how many of them were asked for again."""
        return {"answers": self._num_asked, "answers_asked_again": self._num_again}


def chat_request(
    turns: tuple[dict[str, str], ...], config: DistillConfig, number: int
) -> ChatRequest:
    """The request for one record.

    Args:
        turns: The conversation.
        config: Model, temperature, length, seed.
        number: Number of the attempt, from 0; moves the seed where there is one.
    """
    parameters: dict[str, Any] = {
        "temperature": config.temperature,
        "max_tokens": config.max_output_tokens,
    }
    if config.llm_seed is not None:
        parameters["seed"] = config.llm_seed + number
    return ChatRequest(config.model or "", turns, parameters, repeat=number)


def read_result(outcome: Outcome, part: Part) -> Result:
    """The record in an answer, or why there is none.

    Args:
        outcome: What came.
        part: What it was asked about.

    Source:
        METHOD §3.
    """
    answer = whole_answer(outcome)
    if isinstance(answer, Refused):
        return answer
    output = parse(answer)
    if output is None:
        return Refused("not-in-tags", "expected one <think> and one <answer>, nothing outside")
    task_type = part.record()["task_type"]
    pair = split_answer(output.answer, task_type)
    if pair is None:
        return Refused("wrong-form", f"expected the form of {task_type}")
    prompt = pair[0] or next((one.prompt for one in part.sources if one.prompt.strip()), "")
    return Made(prompt, pair[1], task_type, output.think or None)


def whole_answer(outcome: Outcome) -> str | Refused:
    """The text of an answer that is whole, or why there is none."""
    if not isinstance(outcome, Answer):
        return Refused(outcome.reason, outcome.detail)
    if outcome.refusal:
        return Refused("refused", outcome.refusal)
    if outcome.finish_reason == "length":
        return Refused("truncated", "the answer was cut off at max_output_tokens")
    return outcome.text or ""
