"""The Batch API: many requests in a file, answered within a day at a lower price."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lmmixup.llm.batch_lines import custom_id_of, key_of, read_line, words_of
from lmmixup.llm.request import Answer, Failure
from lmmixup.llm.retry import CallError, ServerError, with_retries
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lmmixup.llm.client import Client
    from lmmixup.llm.config import CallConfig
    from lmmixup.llm.request import ChatRequest

MOST_REQUESTS = 50_000
"""Requests of one batch that OpenAI takes."""

MOST_BYTES = 150_000_000
"""Bytes of one batch's file; OpenAI takes 200 MB."""

ENDED = frozenset({"completed", "expired", "cancelled", "failed"})
"""Statuses after which a batch does not change."""

ENDPOINT = "/v1/chat/completions"


@dataclass
class BatchState:
    """What is kept of one batch in the work folder.

    Attributes:
        digest: SHA-256 of its file; the server keeps it as metadata, so that a batch that was
            made just before a kill is found again.
        num_requests: Lines of its file.
        most_cost: Highest possible cost of them.
        file_id: The uploaded file, once it is.
        batch_id: The batch, once it is made.
        is_collected: Whether its answers are in the cache.
        failed: Reason and detail of those without an answer, by the key's hex digits.
    """

    digest: str
    num_requests: int
    most_cost: float
    file_id: str | None = None
    batch_id: str | None = None
    is_collected: bool = False
    failed: dict[str, tuple[str, str]] = field(default_factory=dict)


class Batches:
    """Has requests answered in batches and puts the answers into the client's cache.

    Args:
        client: Server and cache.
        config: Limits and the time between two looks.
        work: Folder that survives a kill; a run that starts again takes up its batches there.
        reporter: Where progress goes.

    Source:
        Ours; the interface is OpenAI's.
    """

    def __init__(
        self, client: Client, config: CallConfig, work: Path, reporter: Reporter = SILENT
    ) -> None:
        self._client = client
        self._config = config
        self._work = work
        self._reporter = reporter
        self._states: dict[str, BatchState] = {}

    async def fetch(self, requests: Iterable[ChatRequest]) -> dict[bytes, Failure]:
        """Answers all requests that the cache does not know.

        Args:
            requests: Read once, in order.

        Returns:
            Why some have no answer, by the request's key.

        Raises:
            ServerError: The server refuses a batch.
            CostLimitError: A batch could cost more than is left; it was not made.

        Notes:
            The first unknown request is asked directly: it shows at once whether key, model and
            the form of the request are right.
        """
        for path in sorted(self._work.glob("batch-*.json")):
            self._states[path.stem] = BatchState(**json.loads(path.read_text()))
        asked = {key for name in self._states for key in self._keys(name)}
        await self._submit_waiting()
        for name in self._write_files(await self._unknown(requests, asked)):
            await self._submit(name)
        await self._collect_all()
        return {
            bytes.fromhex(key): Failure(*failure)
            for state in self._states.values()
            for key, failure in state.failed.items()
        }

    async def _unknown(
        self, requests: Iterable[ChatRequest], asked: set[bytes]
    ) -> Iterator[ChatRequest]:
        """Requests that are neither in the cache nor in a batch; each once."""

        def unknown() -> Iterator[ChatRequest]:
            for request in requests:
                key = request.key()
                if key not in asked and key not in self._client.cache:
                    asked.add(key)
                    yield request

        left = unknown()
        if not self._states:
            first = next(left, None)
            if first is not None:
                outcome = await self._client.ask(first)
                if isinstance(outcome, Failure):
                    raise ServerError(f"no batch was made: {outcome.detail}")
                self._client.num_fetched += 1
        return left

    def _write_files(self, requests: Iterator[ChatRequest]) -> Iterator[str]:
        """Writes requests into files of one batch each; yields a batch's name once it is whole."""
        for request in requests:
            name = f"batch-{_number_after(self._states):05}"
            most, num_requests = 0.0, 0
            digest = hashlib.sha256()
            with (self._work / f"{name}.jsonl").open("wb") as file:
                following: ChatRequest | None = request
                while following is not None:
                    line = self._line(following)
                    file.write(line)
                    digest.update(line)
                    most += self._client.bill.most(following)
                    num_requests += 1
                    full = num_requests >= MOST_REQUESTS or file.tell() >= MOST_BYTES
                    following = None if full else next(requests, None)
            open_batches = (one for one in self._states.values() if not one.is_collected)
            most_open = sum(one.most_cost for one in open_batches)
            self._client.bill.check(most + most_open, f"{num_requests:,} requests in a batch")
            self._states[name] = BatchState(digest.hexdigest(), num_requests, most)
            self._save(name)
            yield name

    def _line(self, request: ChatRequest) -> bytes:
        line = {
            "custom_id": custom_id_of(request),
            "method": "POST",
            "url": ENDPOINT,
            "body": self._client.body(request),
        }
        return json.dumps(line).encode() + b"\n"

    def _keys(self, name: str) -> Iterator[bytes]:
        with (self._work / f"{name}.jsonl").open(encoding="utf-8") as file:
            for line in file:
                yield key_of(json.loads(line)["custom_id"])

    async def _submit_waiting(self) -> None:
        for name, state in self._states.items():
            if state.batch_id is None:
                # Killed between making it and writing down its id? Then the server knows it.
                state.batch_id = await self._find(state.digest)
                self._save(name)
                if state.batch_id is None:
                    await self._submit(name)

    async def _find(self, digest: str) -> str | None:
        listed = await self._json("GET", "/batches?limit=100")
        for batch in listed.get("data") or []:
            ours = (batch.get("metadata") or {}).get("lmmixup") == digest
            if ours and batch.get("status") not in ENDED - {"completed"}:
                return str(batch["id"])
        return None

    async def _submit(self, name: str) -> None:
        state = self._states[name]
        if state.file_id is None:
            state.file_id = await self._upload(name)
            self._save(name)
        wanted = {
            "input_file_id": state.file_id,
            "endpoint": ENDPOINT,
            "completion_window": "24h",
            "metadata": {"lmmixup": state.digest},
        }
        made = await self._json("POST", "/batches", json=wanted)
        state.batch_id = str(made["id"])
        self._save(name)
        self._reporter.note(f"batch {state.batch_id}: {state.num_requests:,} requests")

    async def _upload(self, name: str) -> str:
        import aiohttp  # noqa: PLC0415

        async def call() -> bytes:
            with (self._work / f"{name}.jsonl").open("rb") as file:
                form = aiohttp.FormData()
                form.add_field("purpose", "batch")
                form.add_field("file", file, filename=f"{name}.jsonl")
                server = self._client.server
                return await server.call("POST", "/files", data=form, timeout=server.patience())

        try:
            return str(json.loads(await with_retries(call, self._config.max_retries))["id"])
        except CallError as error:
            raise ServerError(error.failure.detail) from None
        except (ValueError, KeyError, TypeError):
            raise ServerError(f"{self._client.server.url}/files gave no id of a file") from None

    async def _collect_all(self) -> None:
        total = sum(state.num_requests for state in self._states.values())
        while True:
            done = 0
            for name, state in self._states.items():
                done += state.num_requests if state.is_collected else await self._look(name)
            self._reporter("batch", done, total)
            if all(state.is_collected for state in self._states.values()):
                return
            await asyncio.sleep(self._config.batch_poll_s)

    async def _look(self, name: str) -> int:
        """Number of a batch's finished requests; collects them once it has ended."""
        state = self._states[name]
        batch = await self._json("GET", f"/batches/{state.batch_id}")
        status = str(batch.get("status"))
        if status == "failed":
            (self._work / f"{name}.json").unlink()
            raise ServerError(f"batch {state.batch_id} failed: {_errors_of(batch)}")
        if status not in ENDED:
            counts = batch.get("request_counts") or {}
            return int(counts.get("completed") or 0) + int(counts.get("failed") or 0)
        await self._collect(name, batch, status)
        return state.num_requests

    async def _collect(self, name: str, batch: dict[str, Any], status: str) -> None:
        state = self._states[name]
        waiting = set(self._keys(name))
        rows: list[tuple[bytes, str, str, Answer]] = []
        for line in await self._output_lines(batch):
            key, model, outcome = read_line(line)
            if key not in waiting:
                continue
            waiting.discard(key)
            if isinstance(outcome, Answer):
                rows.append((key, model, self._client.server.url, outcome))
            else:
                state.failed[key.hex()] = (outcome.reason, outcome.detail)
        self._client.cache.put_all(rows)
        for *_, answer in rows:
            self._client.bill.charge(answer)
        self._client.num_fetched += len(rows)
        for key in sorted(waiting):
            state.failed[key.hex()] = (f"batch {status}", f"batch {state.batch_id} left it out")
        state.is_collected = True
        self._save(name)

    async def _output_lines(self, batch: dict[str, Any]) -> list[bytes]:
        lines: list[bytes] = []
        for name in ("output_file_id", "error_file_id"):
            if batch.get(name):
                path = f"/files/{batch[name]}/content"
                patience = self._client.server.patience()
                lines += (await self._called("GET", path, timeout=patience)).splitlines()
        return lines

    def _save(self, name: str) -> None:
        path = self._work / f"{name}.json"
        aside = path.with_suffix(".partial")
        aside.write_text(json.dumps(asdict(self._states[name])))
        aside.rename(path)

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            value = json.loads(await self._called(method, path, **options))
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ServerError(f"expected JSON from {self._client.server.url}{path}, got none")
        return value

    async def _called(self, method: str, path: str, **options: Any) -> bytes:
        async def call() -> bytes:
            return await self._client.server.call(method, path, **options)

        try:
            return await with_retries(call, self._config.max_retries)
        except CallError as error:
            raise ServerError(error.failure.detail) from None


def _number_after(names: Iterable[str]) -> int:
    return max((int(name.removeprefix("batch-")) + 1 for name in names), default=0)


def _errors_of(batch: dict[str, Any]) -> str:
    errors = (batch.get("errors") or {}).get("data") or []
    return "; ".join(words_of(error) for error in errors[:3]) or "the server does not say why"
