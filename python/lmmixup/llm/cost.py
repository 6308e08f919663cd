"""Tokens, prices, and the promise not to spend more than was allowed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmmixup.errors import LmmixupError

if TYPE_CHECKING:
    from lmmixup.llm.config import CallConfig
    from lmmixup.llm.request import Answer, ChatRequest

MILLION = 1_000_000


class CostLimitError(LmmixupError):
    """The next request could have brought the cost above the limit; it was not sent."""


@dataclass(frozen=True)
class Prices:
    """Prices of a million tokens; `None` is unknown.

    Attributes:
        per_million_in: Of the prompt.
        per_million_out: Of the answer.

    Example:
        >>> Prices(0.15, 0.60).cost(2_000_000, 500_000)
        0.6
        >>> Prices(None, None).cost(2_000_000, 500_000) is None
        True
    """

    per_million_in: float | None
    per_million_out: float | None

    def cost(self, tokens_in: int, tokens_out: int) -> float | None:
        """Cost of so many tokens, or `None` where a price is unknown."""
        if self.per_million_in is None or self.per_million_out is None:
            return None
        return (tokens_in * self.per_million_in + tokens_out * self.per_million_out) / MILLION


class Bill:
    """What a run used, and what it may still use.

    Before a call its highest possible cost is set aside: a token for each byte of the prompt
    and all of `max_output_tokens`. The answer's real cost takes its place. A call that got no
    answer and may have been paid for all the same keeps what was set aside.

    Args:
        prices: Prices of tokens.
        max_cost: Limit of this run, or `None`.
        max_output_tokens: Tokens that one answer may have.

    Attributes:
        num_requests: Answers that came from a server.
        tokens_in: Their prompt tokens.
        tokens_out: Their answer tokens.
        num_uncounted: Answers whose tokens had to be estimated.

    Source:
        Ours.
    """

    def __init__(self, prices: Prices, max_cost: float | None, max_output_tokens: int) -> None:
        self.prices = prices
        self.num_requests = 0
        self.tokens_in = 0
        self.tokens_out = 0
        self.num_uncounted = 0
        self._max_cost = max_cost
        self._max_output_tokens = max_output_tokens
        self._spent = 0.0
        self._set_aside = 0.0
        self._num_open = 0
        self._changed = asyncio.Event()

    @classmethod
    def of(cls, config: CallConfig) -> Bill:
        """The bill that a config asks for."""
        prices = Prices(config.price_in, config.price_out)
        return cls(prices, config.max_cost, config.max_output_tokens)

    @property
    def spent(self) -> float | None:
        """Cost so far, or `None` where a price is unknown."""
        return None if self.prices.cost(0, 0) is None else self._spent

    def most(self, request: ChatRequest) -> float:
        """Highest possible cost of a request; 0 where a price is unknown."""
        return self.prices.cost(request.most_tokens(), self._max_output_tokens) or 0.0

    async def set_aside(self, request: ChatRequest) -> float:
        """Waits until the request fits into what is left.

        Returns:
            What was set aside; goes back through `settle` or `release`.

        Raises:
            CostLimitError: It does not fit though no other call is open.
        """
        most = self.most(request)
        while self._max_cost is not None and self._spent + self._set_aside + most > self._max_cost:
            if not self._num_open:
                self.check(most)
            self._changed.clear()
            await self._changed.wait()
        self._set_aside += most
        self._num_open += 1
        return most

    def settle(self, set_aside: float, answer: Answer) -> None:
        """Puts an answer's real cost in place of what was set aside."""
        self.charge(answer)
        self._close(set_aside)

    def charge(self, answer: Answer) -> None:
        """Counts an answer for which nothing was set aside, as one of a batch."""
        self.num_requests += 1
        self.tokens_in += answer.prompt_tokens
        self.tokens_out += answer.completion_tokens
        self.num_uncounted += not answer.is_counted
        self._spent += self.prices.cost(answer.prompt_tokens, answer.completion_tokens) or 0.0

    def check(self, most: float, what: str = "the next request") -> None:
        """Raises `CostLimitError` where something of this highest cost does not fit."""
        if self._max_cost is not None and self._spent + self._set_aside + most > self._max_cost:
            raise CostLimitError(
                f"stopped at max_cost {self._max_cost:g}: {self._spent:.4f} is spent, and {what} "
                f"could cost {most:.4f}"
            )

    def release(self, set_aside: float, *, is_paid: bool) -> None:
        """Ends a call without an answer.

        Args:
            set_aside: What `set_aside` gave.
            is_paid: Whether the server may charge for it, as after a time-out.
        """
        self._spent += set_aside if is_paid else 0.0
        self._close(set_aside)

    def _close(self, set_aside: float) -> None:
        self._num_open -= 1
        # Exactly nothing once no call is open: sums of floats would leave crumbs.
        self._set_aside = self._set_aside - set_aside if self._num_open else 0.0
        self._changed.set()

    def summary(self, num_reused: int) -> str:
        """A sentence about the whole run.

        Args:
            num_reused: Answers that came from the cache.
        """
        estimated = f", {self.num_uncounted:,} of them with estimated tokens"
        return (
            f"{self.num_requests:,} answers{estimated if self.num_uncounted else ''}, "
            f"{num_reused:,} from the cache, {self}"
        )

    def __str__(self) -> str:
        tokens = f"{self.tokens_in + self.tokens_out:,} tokens"
        spent = self.spent
        return f"{tokens}, cost unknown" if spent is None else f"{tokens}, cost {spent:.4f}"
