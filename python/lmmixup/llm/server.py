"""HTTP to one OpenAI-compatible server: a request out, its body or a named error back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from lmmixup.errors import LmmixupError
from lmmixup.llm.request import Failure, writable
from lmmixup.llm.retry import (
    LONGEST_RETRY_AFTER_S,
    MAY_PASS,
    NO_MONEY,
    WRONG_FOR_ALL,
    CallError,
    ServerError,
    retry_after_s,
)

if TYPE_CHECKING:
    from types import TracebackType

    import aiohttp

    from lmmixup.llm.key import ApiKey

OPENAI_URL = "https://api.openai.com/v1"

DETAIL_CHARS = 300
"""Characters of a server's own words that go into a message."""


class Server:
    """One server; use it as an async context manager.

    Args:
        url: Base URL.
        key: Its API key.
        timeout_s: Seconds that one call may take, its whole answer included.
        concurrency: Connections that are kept open.

    Raises:
        LmmixupError: The extra `llm` is not installed.

    Notes:
        aiohttp costs 0.15 ms of CPU a call where the openai package costs 1.3 ms; see
        docs/decisions/0011-llm-client.md.

    Source:
        Ours.
    """

    def __init__(self, url: str, key: ApiKey, *, timeout_s: float, concurrency: int) -> None:
        try:
            import aiohttp  # noqa: PLC0415
        except ImportError as error:
            raise LmmixupError(
                f"asking an LLM needs the aiohttp package: pip install 'lmmixup[llm]' ({error})"
            ) from error
        self.url = url.rstrip("/")
        self._key = key
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._timeout_s = timeout_s
        self._concurrency = concurrency
        self._session: aiohttp.ClientSession | None = None
        self._has_answered = False

    async def __aenter__(self) -> Self:
        import aiohttp  # noqa: PLC0415

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._concurrency),
            timeout=self._timeout,
            headers=self._key.headers(),
            proxy=_proxy_of(self.url),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, path: str, body: dict[str, Any]) -> bytes:
        """Body of the answer to `POST {url}{path}` with JSON; see `call`."""
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        headers = {"Content-Type": "application/json"}
        return await self.call("POST", path, data=data, headers=headers)

    def patience(self) -> aiohttp.ClientTimeout:
        """Time limit of a whole file: each part of it may take `timeout_s`."""
        import aiohttp  # noqa: PLC0415

        return aiohttp.ClientTimeout(
            total=None, sock_connect=self._timeout_s, sock_read=self._timeout_s
        )

    async def call(self, method: str, path: str, **options: Any) -> bytes:
        """One call, whole.

        Args:
            method: HTTP method.
            path: Below the base URL, with its slash.
            **options: As aiohttp takes them.

        Returns:
            The body of a successful answer.

        Raises:
            CallError: This call failed.
            ServerError: Every call would fail.
        """
        import aiohttp  # noqa: PLC0415

        if self._session is None:
            raise RuntimeError("the server is used outside of its context")
        url = self.url + path
        try:
            # A redirect could carry the key to another host: it is an error instead.
            async with self._session.request(
                method, url, allow_redirects=False, **options
            ) as answer:
                body = await answer.read()
        except TimeoutError:
            detail = f"no whole answer from {self.url} within {self._timeout_s:g} s"
            raise CallError(Failure("timeout", detail), may_pass=True, is_paid=True) from None
        except aiohttp.ClientConnectorError as error:
            raise self._unreachable(error) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            detail = self._key.scrub(f"connection to {self.url} broke: {_words(error)}")
            raise CallError(
                Failure("connection broke", detail), may_pass=True, is_paid=True
            ) from None
        if answer.status // 100 == 2:
            self._has_answered = True
            return body
        raise self._refused(answer.status, answer.headers, body)

    def _unreachable(self, error: aiohttp.ClientConnectorError) -> Exception:
        why = _words(getattr(error, "os_error", error))
        detail = f"cannot reach {self.url}: {why}; is the server running?"
        if not self._has_answered:
            return ServerError(detail)
        return CallError(Failure("unreachable", detail), may_pass=True)

    def _refused(self, status: int, headers: Any, body: bytes) -> Exception:
        code, words = _error_of(body)
        detail = self._key.scrub(f"{self.url} answered {status}: {words}")
        wait = retry_after_s(headers)
        if status == 404 and not urlsplit(self.url).path:
            detail += "; does the base URL lack its /v1?"
        if status in WRONG_FOR_ALL or status // 100 == 3 or code == NO_MONEY:
            return ServerError(detail)
        if wait is not None and wait > LONGEST_RETRY_AFTER_S:
            return ServerError(f"{detail}; it asks to wait {wait:,.0f} s: start again later")
        may_pass = status in MAY_PASS or status >= 500
        reason = "rate limit" if status == 429 else f"status {status}"
        return CallError(
            Failure(reason, detail), may_pass=may_pass, retry_after_s=wait, status=status
        )


def _proxy_of(url: str) -> str | None:
    """The proxy of the environment for a server, looked up once: aiohttp would for each call."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)


def _error_of(body: bytes) -> tuple[str, str]:
    """Code and words of an error's body, which may be anything."""
    text = body.decode("utf-8", "replace")
    try:
        error = json.loads(text)["error"]
        code, words = str(error.get("code")), str(error["message"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        code, words = "", text
    words = " ".join(writable(words).split())
    return code, words[:DETAIL_CHARS] or "no words"


def _words(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:DETAIL_CHARS]
