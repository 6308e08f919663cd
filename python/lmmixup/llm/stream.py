"""Many requests at once, their outcomes one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lmmixup.errors import LmmixupError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterable

T = TypeVar("T")
QuestionT = TypeVar("QuestionT")
QuestionT_contra = TypeVar("QuestionT_contra", contravariant=True)
OutcomeT = TypeVar("OutcomeT")
OutcomeT_co = TypeVar("OutcomeT_co", covariant=True)

WINDOW = 64
"""Requests under way, as a multiple of the concurrency: how far others may run ahead of one
that is slow, since answers are handed over in order."""

LONGEST_WINDOW = 8192
"""Requests under way at most: some 50 MB of ordinary records."""

STARTED_TOGETHER = 16
"""Requests that are made before those that wait get their turn."""

GRACE_S = 10.0
"""Seconds that calls under way have when a run stops."""


class Asks(Protocol[QuestionT_contra, OutcomeT_co]):
    """A `Client`, or what asks one several times for one outcome."""

    async def ask(self, request: QuestionT_contra, /) -> OutcomeT_co:
        """The outcome of one request."""

    def stop(self) -> None:
        """Lets no further call out."""


async def answers(
    asked: Iterable[tuple[Asks[QuestionT, OutcomeT], QuestionT]], concurrency: int
) -> AsyncGenerator[OutcomeT]:
    """Outcomes of many requests, in their order.

    Args:
        asked: Requests, each with the one that answers it; read as far ahead as needed.
        concurrency: Calls at a time; sets how far that is.

    Yields:
        One outcome a request.

    Raises:
        LmmixupError: As `Client.ask`. No further call is made then, and those under way have ten
            seconds to reach the cache.

    Notes:
        Holds a window of requests, however many there are.
    """
    window = min(max(1024, WINDOW * concurrency), LONGEST_WINDOW)
    tasks: deque[asyncio.Task[OutcomeT]] = deque()
    clients: set[Asks[QuestionT, OutcomeT]] = set()
    try:
        for client, request in asked:
            clients.add(client)
            if len(tasks) >= window:
                yield await tasks.popleft()
            tasks.append(asyncio.create_task(client.ask(request)))
            if len(tasks) % STARTED_TOGETHER == 0:
                # The first calls go out while the window still fills.
                await asyncio.sleep(0)
        while tasks:
            yield await tasks.popleft()
    except (LmmixupError, GeneratorExit):
        # Calls that are under way may be paid for: their answers are worth a short wait.
        for client in clients:
            client.stop()
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_S)
        raise
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end, also where a loop is running already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main)
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, main).result()


def with_progress(error: LmmixupError, num_done: int, what: str, cache: str) -> LmmixupError:
    """The error with how far the run came; it keeps its class."""
    return type(error)(
        f"{error}; {num_done:,} {what} were done, and every answer that was paid for is kept in "
        f"{cache}: the same command goes on from there"
    )
