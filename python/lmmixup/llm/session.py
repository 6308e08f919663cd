"""A client with its cache and its bill, for what asks one server about many things."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from lmmixup.llm.cache import open_cache
from lmmixup.llm.client import Client
from lmmixup.llm.cost import Bill
from lmmixup.llm.stream import with_progress

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from lmmixup.errors import LmmixupError
    from lmmixup.llm.config import CallConfig
    from lmmixup.progress import Reporter


class Session:
    """Opens cache and client together; use it as an async context manager.

    Args:
        config: Server, limits, cache, prices.
        work: Folder that survives a kill.
        reporter: Is told what the run used and cost.

    Attributes:
        bill: What was used and paid so far.
        cache: The answers; there while it is open.
        client: What asks; there while it is open.

    Notes:
        Every answer is in the cache before it is read, so nothing is paid for twice.
    """

    def __init__(self, config: CallConfig, work: Path, reporter: Reporter) -> None:
        self.bill = Bill.of(config)
        self._call_config = config
        self._work = work
        self._reporter = reporter

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            cache = open_cache(self._call_config.cache, self._work)
            self.cache = stack.enter_context(cache)
            client = Client(self._call_config, self.cache, self.bill, reporter=self._reporter)
            self.client = await stack.enter_async_context(client)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()
        if error is None:
            self._reporter.note(f"this run: {self.bill.summary(self.client.num_reused)}")

    def stop(self) -> None:
        """Lets no further call out."""
        self.client.stop()

    def with_progress(self, error: LmmixupError, num_done: int, what: str) -> LmmixupError:
        """The error with how far the run came, and where the answers are."""
        return with_progress(error, num_done, what, str(self.cache.path))
