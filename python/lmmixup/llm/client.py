"""The client: asks the cache, then the server, within the limits, and tries again."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Self

from lmmixup.errors import LmmixupError
from lmmixup.llm.config import LLMConfig
from lmmixup.llm.key import ApiKey, read_key
from lmmixup.llm.limits import Limits
from lmmixup.llm.request import Answer, ChatRequest, Failure, Outcome, read_answer
from lmmixup.llm.retry import CallError, ServerError, with_retries
from lmmixup.llm.server import OPENAI_URL, Server
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from types import TracebackType

    from lmmixup.llm.cache import AnswerCache
    from lmmixup.llm.config import CallConfig
    from lmmixup.llm.cost import Bill

REFUSED = frozenset({400, 422, 501})
"""Statuses by which a server may mean that it takes no schema."""

SAID_WAIT_S = 10.0
"""Waits from which a person is told."""


NOT_ASKED = Failure("not in the batch", "the server gave neither answer nor error for it")


class Client:
    """Answers requests to one server; use it as an async context manager.

    Args:
        config: Server, limits, retries.
        cache: Where answers are looked up and kept.
        bill: Counts and bounds the cost; several clients may share one.
        reporter: Is told what a person should know.
        key: API key; `None` reads it as the config says.

    Attributes:
        server: The server.
        cache: The cache.
        num_fetched: Answers that a batch put into the cache for this run.
        batch_failures: Set after a batch: what is neither here nor in the cache is not asked.

    Raises:
        LmmixupError: The extra `llm` is not installed.
        ArgumentError: There is no key but the server needs one.

    Notes:
        Equal requests are sent once, also when they are asked side by side. Failures are
        handed over and never kept. A request that is answered is in the cache before its
        answer is handed over.

    Source:
        Ours.
    """

    def __init__(
        self,
        config: CallConfig,
        cache: AnswerCache,
        bill: Bill,
        *,
        reporter: Reporter = SILENT,
        key: ApiKey | None = None,
    ) -> None:
        if key is None:
            required = config.base_url is None
            key = read_key(config.api_key_env, config.api_key_file, required=required)
        self.server = Server(
            config.base_url or OPENAI_URL,
            key,
            timeout_s=config.timeout_s,
            concurrency=config.concurrency,
        )
        self.cache = cache
        self.bill = bill
        self.num_fetched = 0
        self._num_read = 0
        self.batch_failures: dict[bytes, Failure] | None = None
        self._config = config
        self._structured = config.structured if isinstance(config, LLMConfig) else "off"
        self._reporter = reporter
        self._limits = Limits(
            config.concurrency, config.requests_per_minute, config.tokens_per_minute
        )
        self._under_way: dict[bytes, asyncio.Future[Outcome]] = {}
        # By model: what the server turned out to take.
        self._takes_schema: set[str] = set()
        self._takes_no_schema: set[str] = set()
        self._wants_completion_tokens: set[str] = set()
        self._failures_in_a_row = 0
        self._given_up: LmmixupError | None = None
        self._other_servers: set[str] = set()

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.server.__aexit__(kind, error, trace)

    async def ask(self, request: ChatRequest) -> Outcome:
        """The answer to one request, from the cache where it is known.

        Args:
            request: What is asked.

        Returns:
            The answer, or why there is none for this request.

        Raises:
            ServerError: No request can succeed, or too many failed in a row.
            CostLimitError: The request could cost more than is left.
            FileError: The cache cannot be read or written.
        """
        key = request.key()
        if key in self._under_way:
            return await asyncio.shield(self._under_way[key])
        known = self.cache.get(key)
        if known is not None:
            self._say_where_from(known[1])
            self._num_read += 1
            return known[0]
        if self.batch_failures is not None:
            return self.batch_failures.get(key, NOT_ASKED)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._under_way[key] = future
        try:
            outcome = await self._ask_server(key, request)
            future.set_result(outcome)
            return outcome
        except BaseException as error:
            if isinstance(error, Exception):
                future.set_exception(error)
                future.exception()  # nobody else may be waiting for it
            else:
                future.cancel()
            raise
        finally:
            del self._under_way[key]

    @property
    def num_reused(self) -> int:
        """Answers that came from the cache and were there before this run."""
        return max(0, self._num_read - self.num_fetched)

    def stop(self) -> None:
        """Lets no further call out; those that are under way go on."""
        self._given_up = self._given_up or LmmixupError("the run was stopped")

    async def _ask_server(self, key: bytes, request: ChatRequest) -> Outcome:
        async with self._limits.slot():
            try:
                answer = await with_retries(
                    lambda: self._attempt(request), self._config.max_retries
                )
                self.cache.put(key, request.model, self.server.url, answer)
            except CallError as error:
                return self._failed(error.failure)
            except LmmixupError as error:
                self._given_up = self._given_up or error
                raise
            self._failures_in_a_row = 0
            return answer

    def _failed(self, failure: Failure) -> Failure:
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= self._config.max_failures:
            self._given_up = self._given_up or ServerError(
                f"{self._failures_in_a_row} calls in a row failed for good, the last with: "
                f"{failure.reason}: {failure.detail}"
            )
            raise self._given_up
        return failure

    async def _attempt(self, request: ChatRequest) -> Answer:
        """One call, or another one where the server refuses the first one's form."""
        model, renamed = request.model, request.model in self._wants_completion_tokens
        structured = self._is_structured(request)
        try:
            answer = await self._call(request, structured=structured)
        except CallError as error:
            if not renamed and _wants_other_name(error):
                self._rename_max_tokens(model)
                return await self._attempt(request)
            if structured and error.status in REFUSED and self._may_go_without(model):
                return await self._attempt_unstructured(request, error)
            raise
        if structured:
            self._takes_schema.add(model)
        return answer

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """What is sent for a request, in the form that the server turned out to take."""
        return self._body(request, structured=self._is_structured(request))

    def _body(self, request: ChatRequest, *, structured: bool) -> dict[str, Any]:
        body = request.body(structured=structured)
        if request.model in self._wants_completion_tokens and "max_tokens" in body:
            body["max_completion_tokens"] = body.pop("max_tokens")
        return body

    def _is_structured(self, request: ChatRequest) -> bool:
        wanted = request.schema is not None and self._structured != "off"
        return wanted and request.model not in self._takes_no_schema

    def _may_go_without(self, model: str) -> bool:
        return self._structured == "auto" and model not in self._takes_schema

    async def _attempt_unstructured(self, request: ChatRequest, refused: CallError) -> Answer:
        try:
            answer = await self._call(request, structured=False)
        except CallError as error:
            # Not the schema's fault: the request itself is refused.
            raise (refused if error.status == refused.status else error) from None
        if request.model not in self._takes_no_schema:
            self._takes_no_schema.add(request.model)
            self._reporter.note(
                f"{self.server.url} refuses a JSON schema (response_format): {request.model} is "
                "asked without one"
            )
        return answer

    async def _call(self, request: ChatRequest, *, structured: bool) -> Answer:
        """One call within the limits, with its cost on the bill."""
        if self._given_up is not None:
            raise self._given_up
        body = self._body(request, structured=structured)
        most = request.parameters.get("max_tokens", self._config.max_output_tokens)
        await self._limits.turn(request.estimated_tokens() + most)
        set_aside = await self.bill.set_aside(request)
        try:
            answer = self._read(await self.server.post("/chat/completions", body), request)
        except (CallError, ServerError) as error:
            self.bill.release(set_aside, is_paid=isinstance(error, CallError) and error.is_paid)
            if isinstance(error, CallError) and error.retry_after_s:
                self._silence(error)
            raise
        except BaseException:
            # Given up while it was under way: it may be charged for.
            self.bill.release(set_aside, is_paid=True)
            raise
        self.bill.settle(set_aside, answer)
        return answer

    def _read(self, raw: bytes, request: ChatRequest) -> Answer:
        try:
            return read_answer(raw, request.estimated_tokens())
        except (ValueError, RecursionError) as error:
            what = "is no JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            detail = f"{self.server.url} answered 200, but the body {what}"
            failure = Failure("malformed answer", detail)
            raise CallError(failure, may_pass=True, is_paid=True) from None

    def _rename_max_tokens(self, model: str) -> None:
        if model not in self._wants_completion_tokens:
            self._wants_completion_tokens.add(model)
            self._reporter.note(f"{model} wants max_completion_tokens in place of max_tokens")

    def _silence(self, error: CallError) -> None:
        seconds = error.retry_after_s or 0.0
        if error.status == 429:
            self._limits.silence(seconds)
        if seconds >= SAID_WAIT_S:
            self._reporter.note(f"{self.server.url} asks to wait {seconds:,.0f} s")

    def _say_where_from(self, server: str) -> None:
        if server != self.server.url and server not in self._other_servers:
            self._other_servers.add(server)
            self._reporter.note(f"some answers are from the cache and were given by {server}")


def _wants_other_name(error: Exception) -> bool:
    """Whether a server refuses `max_tokens` and names the other word for it."""
    return (
        isinstance(error, CallError)
        and error.status == 400
        and "max_completion_tokens" in error.failure.detail
    )
