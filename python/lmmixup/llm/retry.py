"""When a failed call is tried again, and when it is not."""

from __future__ import annotations

import asyncio
import random
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from lmmixup.errors import LmmixupError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lmmixup.llm.request import Failure

T = TypeVar("T")

FIRST_WAIT_S = 0.5
"""Longest first wait; each later one may be twice as long."""

LONGEST_WAIT_S = 60.0
"""Longest wait that we choose ourselves."""

LONGEST_RETRY_AFTER_S = 900.0
"""Longest wait that a server may ask for; a longer one ends the run with a message."""

MAY_PASS = frozenset({408, 409, 425, 429})
"""Statuses beside 5xx after which the same call may succeed."""

WRONG_FOR_ALL = frozenset({401, 402, 403, 404, 405, 407})
"""Statuses that every other call would get as well."""

NO_MONEY = "insufficient_quota"
"""Code in the body of a 429 that no waiting helps against."""


class ServerError(LmmixupError):
    """No call to this server can succeed: wrong key, no such model, unreachable."""


class CallError(Exception):
    """One call failed.

    Args:
        failure: Reason and detail.
        may_pass: Whether the same call may succeed later.
        retry_after_s: What the server asked to wait, or `None`.
        status: HTTP status, or `None` where there was none.
        is_paid: Whether the server may charge for it.
    """

    def __init__(
        self,
        failure: Failure,
        *,
        may_pass: bool,
        retry_after_s: float | None = None,
        status: int | None = None,
        is_paid: bool = False,
    ) -> None:
        super().__init__(failure.detail)
        self.failure = failure
        self.may_pass = may_pass
        self.retry_after_s = retry_after_s
        self.status = status
        self.is_paid = is_paid


def retry_after_s(headers: Mapping[str, str], now_s: float | None = None) -> float | None:
    """Seconds that a server asks to wait.

    Args:
        headers: Of its answer: `retry-after-ms`, or `retry-after` as seconds or as a date.
        now_s: The time, seconds since 1970; for tests.

    Returns:
        Seconds, never negative; `None` where it does not say, or says nonsense.

    Source:
        RFC 9110, section 10.2.3; the milliseconds are OpenAI's.

    Example:
        >>> retry_after_s({"retry-after": "1.5"})
        1.5
        >>> retry_after_s({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now_s=20)
        40.0
    """
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        seconds = _number(headers.get(name))
        if seconds is not None:
            return seconds / divisor
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, date.timestamp() - (time.time() if now_s is None else now_s))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


async def with_retries(call: Callable[[], Awaitable[T]], max_retries: int) -> T:
    """Calls until there is an answer or no use in trying.

    Args:
        call: One attempt.
        max_retries: Further attempts after the first.

    Raises:
        CallError: The last attempt's.
    """
    num_retries = 0
    while True:
        try:
            return await call()
        except CallError as error:
            if not error.may_pass or num_retries == max_retries:
                raise
            await asyncio.sleep(wait_s(error, num_retries))
        num_retries += 1


def wait_s(error: CallError, num_retries: int) -> float:
    """Seconds until a failed call is tried again.

    Args:
        error: How it failed.
        num_retries: Times that it was tried again before.

    Returns:
        What the server asked for; else a random time, so that calls which failed together do
        not come back together, below a bound that doubles each time.

    Source:
        The "full jitter" of Brooker, Exponential Backoff And Jitter, 2015.
    """
    if error.retry_after_s is not None:
        return error.retry_after_s
    bound_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(num_retries, 16))
    return random.uniform(bound_s / 10, bound_s)  # noqa: S311  not for secrets
