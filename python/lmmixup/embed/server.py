"""Any server that speaks OpenAI's embeddings interface."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import DataError, LmmixupError
from lmmixup.llm.key import read_key
from lmmixup.llm.limits import Limits
from lmmixup.llm.request import Failure
from lmmixup.llm.retry import CallError, with_retries
from lmmixup.llm.server import OPENAI_URL, Server
from lmmixup.llm.stream import run_async

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmmixup.embed.config import EmbedConfig
    from lmmixup.progress import Reporter

MAX_FAILED_CALLS = 3
"""Calls that may fail for good before no more are made."""


class ServerEmbedder:
    """A model behind `POST {base_url}/embeddings`.

    Args:
        config: Kind `openai`.

    Raises:
        LmmixupError: The extra `llm` is not installed.
        ArgumentError: OpenAI's own server is meant, but there is no key.

    Notes:
        Calls run side by side, vectors are handed over as they come. Rate limits, timeouts and
        server errors are tried again, after `Retry-After` where the server says so; one answer
        of *too many* silences all calls. An answer with too few vectors, another dimension, NaN
        or zeros is an error, never data. What succeeded before an error is handed over, so that
        a cache keeps it.

    Source:
        Ours.
    """

    def __init__(self, config: EmbedConfig) -> None:
        key = read_key(config.api_key_env, config.api_key_file, required=config.base_url is None)
        self._server = Server(
            config.base_url or OPENAI_URL,
            key,
            timeout_s=config.timeout_s,
            concurrency=config.concurrency,
        )
        self._config = config
        self._dim: int | None = config.dim

    @property
    def dim(self) -> int:
        """Dimensions of a vector; asks the server where the config does not say."""
        if self._dim is None:
            self._dim = run_async(self._ask_for_dim())
        return self._dim

    def identity(self) -> dict[str, Any]:
        """Model, server and dimensions."""
        return {
            "embedder": "openai",
            "model": self._config.argument,
            "base_url": f"{self._server.url}/",
            "dim": self.dim,
        }

    def embed_chunks(
        self,
        texts: Sequence[str],
        finished: Callable[[Sequence[int], np.ndarray], None],
        reporter: Reporter,
    ) -> None:
        """Embeds texts in calls of `batch_size`, `concurrency` at a time.

        Raises:
            LmmixupError: Some texts got no vector after all attempts; says how many and why.
        """
        failures: list[str] = []
        num_done = run_async(self._embed_all(texts, finished, reporter, failures))
        if failures:
            raise LmmixupError(
                f"{len(texts) - num_done:,} of {len(texts):,} texts got no vector: "
                f"{len(failures)} calls to {self._server.url} failed, the first with: "
                f"{failures[0]}; the others are in the cache where there is one, so the same "
                "command goes on from here"
            )

    async def _embed_all(
        self,
        texts: Sequence[str],
        finished: Callable[[Sequence[int], np.ndarray], None],
        reporter: Reporter,
        failures: list[str],
    ) -> int:
        """Makes the calls until all are done or too many failed; gives how many texts are done."""
        size, limits = self._config.batch_size, Limits(self._config.concurrency)
        calls = (
            range(start, min(start + size, len(texts))) for start in range(0, len(texts), size)
        )
        num_done = num_failed = 0

        async def work() -> None:
            nonlocal num_done, num_failed
            for rows in calls:  # shared by the workers
                try:
                    vectors = await self.vectors([texts[row] for row in rows], limits)
                except (CallError, LmmixupError) as error:
                    failures.append(str(error))
                    num_failed += len(rows)
                else:
                    finished(rows, vectors)
                    num_done += len(rows)
                reporter("embed", num_done + num_failed, len(texts))
                if len(failures) >= MAX_FAILED_CALLS:
                    return

        async with self._server:
            workers = [asyncio.create_task(work()) for _ in range(self._config.concurrency)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        return num_done

    async def _ask_for_dim(self) -> int:
        async with self._server:
            try:
                return int((await self.vectors(["dimensions"], Limits(1))).shape[1])
            except CallError as error:
                raise DataError(str(error)) from None

    async def vectors(self, texts: list[str], limits: Limits) -> np.ndarray:
        """One call, tried again where that may help.

        Args:
            texts: n texts that are not empty.
            limits: Shared by all calls, so that one which must wait lets all wait.

        Returns:
            (n, D) float32, rows of length 1.

        Raises:
            CallError: The server gave no answer.
            ServerError: No call to it can succeed.
            DataError: The answer has not one vector for each text.
        """
        body: dict[str, Any] = {
            "model": self._config.argument, "input": texts, "encoding_format": "float",
        }  # fmt: skip
        if self._config.dim is not None:
            body["dimensions"] = self._config.dim

        async def call() -> Any:
            await limits.turn(0)
            try:
                return _parsed(await self._server.post("/embeddings", body), self._server.url)
            except CallError as error:
                if error.status == 429 and error.retry_after_s:
                    limits.silence(error.retry_after_s)
                raise

        answer = await with_retries(call, self._config.max_retries)
        return unit_vectors(answer, len(texts), self._dim)


def _parsed(raw: bytes, url: str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        detail = f"{url} answered 200, but the body is no JSON"
        raise CallError(Failure("malformed answer", detail), may_pass=True) from None


def unit_vectors(answer: Any, expected: int, dim: int | None) -> np.ndarray:
    """The vectors of an answer, checked.

    Args:
        answer: The JSON of `/embeddings`.
        expected: Number of vectors.
        dim: Dimensions, where they are known.

    Returns:
        (expected, D) float32, rows of length 1, in the order of the texts.

    Raises:
        DataError: There are other vectors than were asked for, or such as have no direction.
    """
    try:
        data = sorted(answer["data"], key=lambda item: item["index"])
        places = [item["index"] for item in data]
        lengths = {len(item["embedding"]) for item in data}
        if places == list(range(expected)) and len(lengths) == 1:
            numbers = np.array([item["embedding"] for item in data], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"expected data with index and embedding in the answer, got {type(error).__name__}: "
            f"{error}"
        ) from None
    if places != list(range(expected)):
        raise DataError(f"expected {expected} vectors in the answer, got {len(data)}")
    if len(lengths) != 1 or (dim is not None and lengths != {dim}):
        wanted = "one number of" if dim is None else dim
        raise DataError(f"expected {wanted} dimensions in all vectors, got {sorted(lengths)}")
    norms = np.linalg.norm(numbers, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise DataError("the answer has NaN, infinity or a zero vector")
    unit: np.ndarray = (numbers / norms).astype(np.float32)
    return unit
