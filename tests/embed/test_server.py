"""`openai:MODEL` against a real HTTP server on loopback that follows a script."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from lmmixup.embed import EmbedConfig, make_embedder
from lmmixup.embed.cache import VectorCache
from lmmixup.errors import ArgumentError, FileError, LmmixupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytest.importorskip("aiohttp", reason="the extra `llm` is not installed")

DIM = 8
RAW = b'{"data": [{"index": 0, "embedd'


def vector_of(text: str) -> list[float]:
    """A vector that is the text's own, so that mixed-up order shows."""
    return [float(len(text)), *(float(ord(text[i % len(text)])) for i in range(DIM - 1))]


class Server:
    """Counts calls and texts; `script(call, body)` may answer in place of the truth."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.texts: Counter[str] = Counter()
        self.script: Callable[[int, dict[str, Any]], tuple[int, Any, dict[str, str]] | None] = (
            lambda _call, _body: None
        )
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.calls.append({"path": self.path, "time": time.monotonic(), **body})
                    call = len(outer.calls)
                status, answer, headers = outer.script(call, body) or outer.truth(body)
                payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                with suppress(BrokenPipeError):  # a caller that gave up
                    self.wfile.write(payload)

            def log_message(self, *args: Any) -> None:
                """Says nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def truth(self, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        with self.lock:
            self.texts.update(body["input"])
        data = [
            {"object": "embedding", "index": row, "embedding": vector_of(text)}
            for row, text in enumerate(body["input"])
        ]
        # Out of order, as the interface allows.
        return 200, {"object": "list", "data": data[::-1], "model": "m",
                     "usage": {"prompt_tokens": 1, "total_tokens": 1}}, {}  # fmt: skip

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def config(server: Server, **more: Any) -> EmbedConfig:
    given = {"embedder": "openai:m", "base_url": server.url, "batch_size": 4, "cache": "none",
             "max_retries": 2, "timeout_s": 10.0, **more}  # fmt: skip
    return EmbedConfig(**given)


TEXTS = [f"text number {row} {'x' * row}" for row in range(30)]


def unit(texts: list[str]) -> np.ndarray:
    vectors = np.array([vector_of(text) for text in texts])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def broken(status: int, **headers: str) -> tuple[int, Any, dict[str, str]]:
    return status, {"error": {"message": f"scripted {status}"}}, headers


def test_order_is_kept(server: Server) -> None:
    vectors = make_embedder(config(server)).embed(pa.array(TEXTS))
    np.testing.assert_allclose(vectors, unit(TEXTS), atol=1e-6)
    assert {call["path"] for call in server.calls} == {"/v1/embeddings"}
    assert max(len(call["input"]) for call in server.calls) == 4


def test_rate_limits_and_server_errors_are_tried_again(server: Server) -> None:
    failing = {2: broken(429, **{"Retry-After": "1"}), 4: broken(500), 5: broken(503)}
    server.script = lambda call, _body: failing.get(call)
    vectors = make_embedder(config(server, concurrency=1)).embed(pa.array(TEXTS))
    np.testing.assert_allclose(vectors, unit(TEXTS), atol=1e-6)
    assert server.calls[2]["time"] - server.calls[1]["time"] >= 1.0
    assert server.calls[2]["input"] == server.calls[1]["input"]


def short(body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    data = [{"object": "embedding", "index": 0, "embedding": [1.0] * DIM}]
    return 200, {"object": "list", "data": data[: len(body["input"]) - 1], "model": "m"}, {}


def filled(value: Any) -> Callable[[dict[str, Any]], tuple[int, Any, dict[str, str]]]:
    def answer(body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        data = [
            {"object": "embedding", "index": row, "embedding": value}
            for row in range(len(body["input"]))
        ]
        return 200, {"object": "list", "data": data, "model": "m"}, {}

    return answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda _body: broken(500), "scripted 500"),
        (lambda _body: broken(401), "scripted 401"),
        (short, "expected 4 vectors in the answer, got 1"),
        (filled([float("nan")] * DIM), "NaN, infinity or a zero vector"),
        (filled([0.0] * DIM), "NaN, infinity or a zero vector"),
        (filled([1.0] * 3), r"expected 8 dimensions in all vectors, got \[3\]"),
        (filled([]), r"expected 8 dimensions in all vectors, got \[0\]"),
    ],
    ids=["500", "401", "short", "nan", "zero", "dimension", "empty"],
)
def test_a_failed_call_never_becomes_data(
    server: Server, tmp_path: Path, answer: Callable[..., Any], message: str
) -> None:
    bad_text = TEXTS[9]
    server.script = lambda _call, body: answer(body) if bad_text in body["input"] else None
    bad = config(server, max_retries=0, dim=DIM, cache=str(tmp_path))
    with pytest.raises(LmmixupError, match=f"4 of 30 texts got no vector.*{message}"):
        make_embedder(bad).embed(pa.array(TEXTS))
    # What succeeded was kept: only the failed four are asked for again.
    server.script = lambda _call, _body: None
    before = Counter(server.texts)
    vectors = make_embedder(bad).embed(pa.array(TEXTS))
    np.testing.assert_allclose(vectors, unit(TEXTS), atol=1e-6)
    assert sorted((server.texts - before).elements()) == sorted(TEXTS[8:12])


def test_one_answer_of_too_many_silences_all_calls(server: Server) -> None:
    server.script = lambda call, _body: broken(429, **{"Retry-After": "1"}) if call == 1 else None
    vectors = make_embedder(config(server, concurrency=1, dim=DIM)).embed(pa.array(TEXTS[:8]))
    np.testing.assert_allclose(vectors, unit(TEXTS[:8]), atol=1e-6)
    first, *others = [call["time"] for call in server.calls]
    assert all(later - first >= 1.0 for later in others)


def test_a_body_that_is_no_json_is_asked_for_again(server: Server) -> None:
    server.script = lambda call, _body: (200, RAW, {}) if call == 1 else None
    vectors = make_embedder(config(server, concurrency=1, dim=DIM)).embed(pa.array(TEXTS[:4]))
    np.testing.assert_allclose(vectors, unit(TEXTS[:4]), atol=1e-6)
    assert len(server.calls) == 2


@pytest.mark.parametrize("answer", [{"data": [{"index": 0}]}, {"data": 7}, [], {"data": [None]}])
def test_an_answer_of_another_shape_is_refused(server: Server, answer: Any) -> None:
    server.script = lambda _call, _body: (200, answer, {})
    with pytest.raises(LmmixupError, match="expected data with index and embedding"):
        make_embedder(config(server, dim=DIM)).embed(pa.array(TEXTS[:4]))


def test_what_cannot_be_kept_ends_the_run_in_one_line(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: VectorCache, keys: Any, vectors: Any) -> None:
        raise FileError("no space left")

    monkeypatch.setattr(VectorCache, "add", full)
    with pytest.raises(FileError, match="no space left"):
        make_embedder(config(server, dim=DIM, cache=str(tmp_path))).embed(pa.array(TEXTS))


def test_a_server_that_is_not_there_is_one_line(server: Server) -> None:
    server.close()
    with pytest.raises(LmmixupError, match=r"cannot reach .*; is the server running\?"):
        make_embedder(config(server)).embed(pa.array(TEXTS))


def test_it_works_where_a_loop_is_running(server: Server) -> None:
    async def inside() -> np.ndarray:
        return make_embedder(config(server)).embed(pa.array(TEXTS))

    np.testing.assert_allclose(asyncio.run(inside()), unit(TEXTS), atol=1e-6)


def test_stops_calling_a_server_that_is_down(server: Server) -> None:
    server.script = lambda _call, _body: broken(500)
    down = config(server, max_retries=0, batch_size=1, concurrency=2, dim=DIM)
    with pytest.raises(LmmixupError, match="30 of 30 texts got no vector"):
        make_embedder(down).embed(pa.array(TEXTS))
    assert len(server.calls) < 10


def test_a_second_run_pays_nothing_and_equal_texts_once(server: Server, tmp_path: Path) -> None:
    kept = config(server, cache=str(tmp_path), dim=DIM)
    texts = pa.array([*TEXTS, *TEXTS, "", None])
    first = make_embedder(kept).embed(texts)
    assert set(server.texts.values()) == {1}
    assert not first[-2:].any()
    num_calls = len(server.calls)
    np.testing.assert_array_equal(make_embedder(kept).embed(texts), first)
    assert len(server.calls) == num_calls
    other = make_embedder(config(server, embedder="openai:other", cache=str(tmp_path), dim=DIM))
    other.embed(texts)
    assert len(server.calls) > num_calls


def test_key_is_needed_where_no_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ArgumentError, match=r"no key in \$OPENAI_API_KEY"):
        make_embedder(EmbedConfig(embedder="openai:m"))
