"""How often a server is asked: calls at a time, calls and tokens a minute, and its own wishes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

BURST_S = 1.0
"""Seconds of a limit that may be used at once. A burst of the whole minute would let twice
the limit through in the first minute."""


class Limits:
    """Bounds the calls to one server.

    Args:
        concurrency: Calls at a time.
        requests_per_minute: Calls in a minute, or `None`.
        tokens_per_minute: Tokens in a minute, or `None`.

    Source:
        Leaky buckets of aiolimiter; the pause for all is ours.
    """

    def __init__(
        self,
        concurrency: int,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
    ) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._requests = _bucket(requests_per_minute)
        self._tokens = _bucket(tokens_per_minute)
        self._not_before_s = 0.0

    def slot(self) -> asyncio.Semaphore:
        """Holds one of the places for calls while it is entered, retries and waits included."""
        return self._slots

    async def turn(self, num_tokens: int) -> None:
        """Waits until the limits allow one more call, and until the server's silence is over.

        Args:
            num_tokens: Tokens that the call may use.
        """
        if self._requests is not None:
            await self._requests.acquire()
        if self._tokens is not None:
            await _take(self._tokens, num_tokens)
        while (left_s := self._not_before_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)

    def silence(self, seconds: float) -> None:
        """Lets no new call through for so long: one answer of *too many* speaks for all."""
        self._not_before_s = max(self._not_before_s, time.monotonic() + seconds)


def _bucket(per_minute: float | None) -> AsyncLimiter | None:
    if per_minute is None:
        return None
    from aiolimiter import AsyncLimiter  # noqa: PLC0415

    burst = max(1.0, per_minute / 60 * BURST_S)
    return AsyncLimiter(burst, burst * 60 / per_minute)


async def _take(bucket: AsyncLimiter, amount: float) -> None:
    """Takes more than a bucket holds in several draughts."""
    while amount > 0:
        draught = min(amount, bucket.max_rate)
        await bucket.acquire(draught)
        amount -= draught
