"""Any server that speaks OpenAI's embeddings interface."""

from __future__ import annotations

import os
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import ArgumentError, DataError, LmmixupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lmmixup.embed.config import EmbedConfig
    from lmmixup.progress import Reporter

MAX_FAILED_CALLS = 3
"""Calls that may fail for good before no more are made."""

Outcome = tuple[list[int], "np.ndarray | Exception"]
"""Rows of a call, and their vectors or what went wrong."""


class ServerEmbedder:
    """A model behind `POST {base_url}/embeddings`.

    Args:
        config: Kind `openai`.

    Raises:
        LmmixupError: The extra `llm` is not installed.
        ArgumentError: OpenAI's own server is meant, but there is no key.

    Notes:
        Calls run side by side, vectors come back in order. Rate limits, timeouts and server
        errors are tried again, after `Retry-After` where the server says so. An answer with
        too few vectors, another dimension, NaN or zeros is an error, never data. What
        succeeded before an error is handed over, so that a cache keeps it.

    Source:
        Ours.
    """

    def __init__(self, config: EmbedConfig) -> None:
        try:
            import openai  # noqa: PLC0415
        except ImportError as error:
            raise LmmixupError(
                f"embedder {config.embedder!r} needs the openai package: "
                f"pip install 'lmmixup[llm]' ({error})"
            ) from error
        key = os.environ.get(config.api_key_env)
        if key is None and config.base_url is None:
            raise ArgumentError(
                f"no key in ${config.api_key_env}, and no base_url of another server"
            )
        self._client = openai.OpenAI(
            api_key=key or "none",
            base_url=config.base_url,
            max_retries=config.max_retries,
            timeout=config.timeout_s,
        )
        self._config = config
        self._dim: int | None = config.dim

    @property
    def dim(self) -> int:
        """Dimensions of a vector; asks the server where the config does not say."""
        if self._dim is None:
            self._dim = int(self._call(["dimensions"]).shape[1])
        return self._dim

    def identity(self) -> dict[str, Any]:
        """Model, server and dimensions."""
        return {
            "embedder": "openai",
            "model": self._config.argument,
            "base_url": str(self._client.base_url),
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
        num_failed = num_done = 0
        for rows, outcome in self._calls(texts, failures):
            if isinstance(outcome, Exception):
                failures.append(str(outcome))
                num_failed += len(rows)
            else:
                finished(rows, outcome)
                num_done += len(rows)
            reporter("embed", num_done + num_failed, len(texts))
        if failures:
            raise LmmixupError(
                f"{len(texts) - num_done:,} of {len(texts):,} texts got no vector: "
                f"{len(failures)} calls to {self._client.base_url} failed, the first with: "
                f"{failures[0]}; the others are in the cache where there is one, so the same "
                "command goes on from here"
            )

    def _calls(
        self, texts: Sequence[str], failures: Sequence[str]
    ) -> Iterator[tuple[list[int], np.ndarray | Exception]]:
        size = self._config.batch_size
        todo: SimpleQueue[list[int]] = SimpleQueue()
        for start in range(0, len(texts), size):
            todo.put(list(range(start, min(start + size, len(texts)))))
        done: SimpleQueue[Outcome | None] = SimpleQueue()
        stop = Event()

        def work() -> None:
            while not stop.is_set() and not todo.empty():
                try:
                    rows = todo.get_nowait()
                except Empty:
                    break
                try:
                    done.put((rows, self._call([texts[row] for row in rows])))
                except Exception as error:  # handed over: the caller counts and raises
                    done.put((rows, error))
            done.put(None)

        # Daemons, so that Ctrl-C does not wait for answers or for a server's Retry-After.
        running = min(self._config.concurrency, todo.qsize())
        for _ in range(running):
            Thread(target=work, daemon=True).start()
        try:
            while running:
                outcome = done.get()
                if outcome is None:
                    running -= 1
                else:
                    yield outcome
                if len(failures) >= MAX_FAILED_CALLS:
                    stop.set()
        finally:
            stop.set()

    def _call(self, texts: list[str]) -> np.ndarray:
        import openai  # noqa: PLC0415

        extra: dict[str, Any] = {} if self._config.dim is None else {"dimensions": self._config.dim}
        try:
            answer = self._client.embeddings.create(
                model=self._config.argument, input=texts, encoding_format="float", **extra
            )
        except openai.OpenAIError as error:
            raise DataError(str(error)) from error
        return self._checked(answer, len(texts))

    def _checked(self, answer: Any, expected: int) -> np.ndarray:
        data = sorted(getattr(answer, "data", None) or [], key=lambda item: item.index)
        if [item.index for item in data] != list(range(expected)):
            raise DataError(f"expected {expected} vectors in the answer, got {len(data)}")
        lengths = {len(item.embedding) for item in data}
        if len(lengths) != 1 or (self._dim is not None and lengths != {self._dim}):
            wanted = self._dim if self._dim is not None else "one number of"
            raise DataError(f"expected {wanted} dimensions in all vectors, got {sorted(lengths)}")
        vectors = np.array([item.embedding for item in data], np.float64)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all() or (norms == 0).any():
            raise DataError("the answer has NaN, infinity or a zero vector")
        unit: np.ndarray = (vectors / norms).astype(np.float32)
        return unit
