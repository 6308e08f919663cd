"""An OpenAI-compatible server on loopback that follows a script and counts what it is asked.

In a test: `with LLMServer() as server: server.script = ...`. As a process of its own:
`python llm_server.py --latency-s 0.2` prints its address and answers until it is ended.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

RATING = '{"rarity": 3, "complexity": 6, "informativeness": 7, "overall": 7}'


@dataclass
class Reply:
    """What the server does with one request.

    Attributes:
        text: Content of the assistant's message.
        status: HTTP status; the body of an error says `scripted STATUS`.
        finish_reason: Why the model stopped.
        refusal: Content of the message's own refusal field.
        headers: Further headers.
        raw: Bytes of the body in place of a completion.
        delay_s: Waited before the answer.
        send: Share of the body that is sent before the connection is cut.
        usage: Whether the answer says its tokens.
    """

    text: str | None = RATING
    status: int = 200
    finish_reason: str = "stop"
    refusal: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    delay_s: float = 0.0
    send: float = 1.0
    usage: bool = True

    def body(self, request: dict[str, Any]) -> bytes:
        """The JSON of the answer."""
        if self.raw is not None:
            return self.raw
        if self.status != 200:
            return json.dumps({"error": {"message": f"scripted {self.status}"}}).encode()
        message = {"role": "assistant", "content": self.text, "refusal": self.refusal}
        answer: dict[str, Any] = {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": request.get("model", "m"),
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}],
        }
        if self.usage:
            answer["usage"] = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        return json.dumps(answer).encode()


class LLMServer:
    """Answers `POST /v1/chat/completions`; `script(number, request)` may reply in its own way.

    Attributes:
        script: Given the number of the call (from 1) and its body; `None` is a good answer.
        calls: Bodies of the calls, with `_time` and `_authorization`, while `keep_calls` is set.
        answered: Number of good answers by content of the last message.
        most_at_once: Highest number of calls that were open at the same time.
    """

    def __init__(self, latency_s: float = 0.0, *, keep_calls: bool = True) -> None:
        self.latency_s = latency_s
        self.keep_calls = keep_calls
        self.script: Callable[[int, dict[str, Any]], Reply | None] = lambda _number, _request: None
        self.calls: list[dict[str, Any]] = []
        self.answered: Counter[str] = Counter()
        self.num_calls = 0
        self.most_at_once = 0
        self.url = ""
        self._open = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)

    async def serve(self) -> None:
        """Answers until `close`."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        while self._writers:
            await asyncio.sleep(0.001)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops answering; the port is refused afterwards."""
        assert self._loop is not None
        assert self._stop is not None
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._request(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self._writers.discard(writer)

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            reply, payload = self.respond(method, path, headers, body)
            if reply.delay_s or self.latency_s:
                await self._wait(reply.delay_s or self.latency_s)
        finally:
            self._open -= 1
        lines = [f"HTTP/1.1 {reply.status} X", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        lines.append(f"Content-Length: {len(payload)}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        writer.write(payload[: int(len(payload) * reply.send)])
        await writer.drain()
        return reply.send == 1

    async def _wait(self, seconds: float) -> None:
        assert self._stop is not None
        if seconds < 1:
            await asyncio.sleep(seconds)
        else:  # a stall, which should not keep `close` waiting
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)

    def respond(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[Reply, bytes]:
        """What is answered to one request."""
        if (method, path) != ("POST", "/v1/chat/completions"):
            return Reply(status=404), b'{"error": {"message": "no such path"}}'
        return self.complete(json.loads(body), headers.get("authorization"))

    def complete(self, request: dict[str, Any], authorization: str | None) -> tuple[Reply, bytes]:
        """Counts one chat completion and answers it."""
        self.num_calls += 1
        number = self.num_calls
        if self.keep_calls:
            seen = {"_time": time.monotonic(), "_authorization": authorization, **request}
            self.calls.append(seen)
        reply = self.script(number, request) or Reply()
        if self.keep_calls and reply.status == 200 and reply.send == 1:
            self.answered[request["messages"][-1]["content"]] += 1
        return reply, reply.body(request)


def main() -> None:
    """Serves until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency-s", type=float, default=0.0)
    parser.add_argument("--text", default=RATING)
    args = parser.parse_args()
    server = LLMServer(args.latency_s, keep_calls=False)
    server.script = lambda _number, _request: Reply(text=args.text)

    async def run() -> None:
        serving = asyncio.create_task(server.serve())
        while not server.url:
            await asyncio.sleep(0.01)
        print(server.url, flush=True)  # noqa: T201
        await serving

    asyncio.run(run())


if __name__ == "__main__":
    main()
