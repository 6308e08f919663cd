"""The client against a real HTTP server on loopback that follows a script."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest
from llm_server import LLMServer, Reply

from lmmixup.errors import ArgumentError, LmmixupError
from lmmixup.llm import (
    Answer,
    AnswerCache,
    Bill,
    ChatRequest,
    Client,
    Failure,
    LLMConfig,
    Outcome,
    answers,
    run_async,
)
from lmmixup.llm.retry import ServerError
from lmmixup.progress import Reporter

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = {"type": "object", "properties": {"overall": {"type": "integer"}}}


class Notes(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


def requests(number: int, **more: Any) -> list[ChatRequest]:
    return [
        ChatRequest(
            "m", ({"role": "user", "content": f"question {row}"},), {"max_tokens": 9}, **more
        )
        for row in range(number)
    ]


def ask(
    server: LLMServer | str,
    asked: list[ChatRequest],
    cache: Path,
    *,
    reporter: Reporter | None = None,
    **options: Any,
) -> list[Outcome]:
    url = server if isinstance(server, str) else server.url
    given = {"base_url": url, "max_retries": 3, "timeout_s": 5.0, **options}
    config = LLMConfig(**given)

    async def main() -> list[Outcome]:
        with AnswerCache(cache) as kept:
            client = Client(config, kept, Bill.of(config), reporter=reporter or Reporter())
            async with client:
                pairs = ((client, request) for request in asked)
                async with aclosing(answers(pairs, config.concurrency)) as outcomes:
                    return [outcome async for outcome in outcomes]

    return run_async(main())


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "answers.sqlite"


def echo(_number: int, request: dict[str, Any]) -> Reply:
    # Later questions are answered first, so that mixed-up order shows.
    text = request["messages"][-1]["content"]
    return Reply(text=text.upper(), delay_s=0.1 / (1 + int(text.split()[-1])))


def test_answers_come_in_order_and_within_the_concurrency(server: LLMServer, cache: Path) -> None:
    server.script = echo
    outcomes = ask(server, requests(40), cache, concurrency=7)
    texts = [outcome.text for outcome in outcomes if isinstance(outcome, Answer)]
    assert texts == [f"QUESTION {row}" for row in range(40)]
    assert server.most_at_once == 7


def test_equal_requests_are_sent_once_and_a_second_run_sends_nothing(
    server: LLMServer, cache: Path
) -> None:
    twice = [*requests(10), *requests(10)]
    first = ask(server, twice, cache)
    assert server.num_calls == 10
    assert ask(server, twice, cache) == first
    assert server.num_calls == 10


def test_what_decides_an_answer_is_in_the_key() -> None:
    base = requests(1)[0]
    changed = [
        ChatRequest("other", base.messages, base.parameters),
        ChatRequest("m", ({"role": "user", "content": "?"},), base.parameters),
        ChatRequest("m", base.messages, {"max_tokens": 10}),
        ChatRequest("m", base.messages, base.parameters, SCHEMA),
        ChatRequest("m", base.messages, base.parameters, None, 1),
    ]
    assert len({request.key() for request in [base, *changed]}) == 6
    assert base.key() == requests(1)[0].key()


@pytest.mark.parametrize(
    ("headers", "least_s"),
    [
        ({"Retry-After": "1"}, 1.0),
        ({"Retry-After-Ms": "700"}, 0.7),
        ({"Retry-After": "date"}, 1.0),
    ],
    ids=["seconds", "milliseconds", "date"],
)
def test_retry_after_is_obeyed_by_all_calls(
    server: LLMServer, cache: Path, headers: dict[str, str], least_s: float
) -> None:
    def script(number: int, _request: dict[str, Any]) -> Reply | None:
        if number != 1:
            return None
        if headers.get("Retry-After") == "date":
            headers["Retry-After"] = formatdate(time.time() + 2, usegmt=True)
        return Reply(status=429, headers=headers)

    server.script = script
    outcomes = ask(server, requests(6), cache, concurrency=1)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert server.calls[1]["_time"] - server.calls[0]["_time"] >= least_s
    assert server.calls[1]["messages"] == server.calls[0]["messages"]


def test_too_many_requests_silences_those_that_did_not_ask_yet(
    server: LLMServer, cache: Path
) -> None:
    def script(number: int, _request: dict[str, Any]) -> Reply:
        return (
            Reply(status=429, headers={"Retry-After": "1"}) if number == 1 else Reply(delay_s=0.3)
        )

    server.script = script
    ask(server, requests(8), cache, concurrency=4)
    # Calls that were open went on; no new one began before the second was over.
    began = sorted(call["_time"] - server.calls[0]["_time"] for call in server.calls)
    assert [later for later in began[4:] if later < 1.0] == []


def test_a_wait_of_a_day_is_an_error_not_a_sleep(server: LLMServer, cache: Path) -> None:
    server.script = lambda *_: Reply(status=429, headers={"Retry-After": "86400"})
    with pytest.raises(ServerError, match="asks to wait 86,400 s: start again later"):
        ask(server, requests(3), cache)


BROKEN = {
    "500": Reply(status=500),
    "503": Reply(status=503),
    "429 without a word": Reply(status=429),
    "half a body": Reply(send=0.5),
    "nothing": Reply(send=0.0),
    "malformed": Reply(raw=b'{"choices": ['),
    "not a completion": Reply(raw=b'{"hello": 1}'),
    "no choice": Reply(raw=b'{"choices": []}'),
    "a list": Reply(raw=b"[]"),
    "depth": Reply(raw=b"[" * 200_000),
    "depth in an error": Reply(status=500, raw=b'{"a":' * 200_000),
    "html": Reply(status=502, raw=b"<html>Bad Gateway</html>"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_what_may_pass_is_tried_again(server: LLMServer, cache: Path, broken: Reply) -> None:
    server.script = lambda number, _request: broken if number in (2, 3) else None
    outcomes = ask(server, requests(4), cache, concurrency=1)
    assert [type(outcome) for outcome in outcomes] == [Answer] * 4
    assert server.num_calls == 6


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_failure_is_handed_over_and_never_kept(
    server: LLMServer, cache: Path, broken: Reply
) -> None:
    bad = "question 2"
    server.script = lambda _number, request: (
        broken if request["messages"][-1]["content"] == bad else None
    )
    outcomes = ask(server, requests(4), cache, max_retries=0)
    assert [isinstance(outcome, Failure) for outcome in outcomes] == [False, False, True, False]
    with AnswerCache(cache) as kept:
        assert len(kept) == 3
    server.script = lambda *_: None
    before = server.num_calls
    assert all(isinstance(outcome, Answer) for outcome in ask(server, requests(4), cache))
    assert server.num_calls == before + 1


def test_a_stall_ends_with_the_time_limit(server: LLMServer, cache: Path) -> None:
    server.script = lambda number, _request: Reply(delay_s=200) if number == 1 else None
    start = time.monotonic()
    outcomes = ask(server, requests(3), cache, timeout_s=2)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert time.monotonic() - start < 200  # the limit ended it, not the server
    server.script = lambda *_: Reply(delay_s=30)
    stalled = ask(server, requests(5)[4:], cache, timeout_s=0.2, max_retries=1)
    assert stalled == [Failure("timeout", f"no whole answer from {server.url} within 0.2 s")]


def test_a_bad_request_is_the_fault_of_one_record(server: LLMServer, cache: Path) -> None:
    server.script = lambda number, _request: Reply(status=400) if number == 2 else None
    outcomes = ask(server, requests(4), cache, concurrency=1)
    failed = outcomes[1]
    assert isinstance(failed, Failure)
    assert failed.reason == "status 400"
    assert "scripted 400" in failed.detail
    assert server.num_calls == 4


@pytest.mark.parametrize("status", [301, 401, 402, 403, 404])
def test_what_every_call_would_get_stops_the_run(
    server: LLMServer, cache: Path, status: int
) -> None:
    server.script = lambda *_: Reply(status=status, headers={"Location": "http://127.0.0.1:9/v1"})
    with pytest.raises(ServerError, match=f"answered {status}: scripted {status}"):
        ask(server, requests(200), cache, concurrency=4)
    assert server.num_calls <= 8


def test_calls_under_way_are_kept_when_a_run_stops(server: LLMServer, cache: Path) -> None:
    server.script = lambda number, _request: (
        Reply(status=401) if number == 3 else Reply(delay_s=0.4)
    )
    with pytest.raises(ServerError, match="scripted 401"):
        ask(server, requests(300), cache, concurrency=4)
    assert server.num_calls == 4
    with AnswerCache(cache) as kept:
        assert len(kept) == 3


def test_an_address_without_v1_gets_a_hint(server: LLMServer, cache: Path) -> None:
    with pytest.raises(ServerError, match=r"does the base URL lack its /v1\?"):
        ask(server.url.removesuffix("/v1"), requests(1), cache)


def test_an_empty_account_is_not_waited_for(server: LLMServer, cache: Path) -> None:
    body = b'{"error": {"message": "You ran out.", "code": "insufficient_quota"}}'
    server.script = lambda *_: Reply(status=429, raw=body, headers={"Retry-After": "60"})
    with pytest.raises(ServerError, match=r"answered 429: You ran out\."):
        ask(server, requests(3), cache)


def test_nobody_there(cache: Path) -> None:
    with LLMServer() as gone:
        pass
    # Trying again a hundred times would take longer than a test may.
    with pytest.raises(ServerError, match=r"cannot reach http.*; is the server running\?"):
        ask(gone.url, requests(3), cache, max_retries=100)


def test_a_server_that_goes_down_ends_the_run(server: LLMServer, cache: Path) -> None:
    server.script = lambda number, _request: Reply(status=500) if number > 10 else None
    with pytest.raises(ServerError, match=r"5 calls in a row failed for good, .*scripted 500"):
        ask(server, requests(500), cache, max_retries=0, max_failures=5, concurrency=2)
    assert server.num_calls < 30
    with AnswerCache(cache) as kept:
        assert len(kept) == 10


def test_a_schema_goes_along(server: LLMServer, cache: Path) -> None:
    ask(server, requests(1, schema=SCHEMA), cache)
    sent = server.calls[0]["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["schema"] == SCHEMA
    assert server.calls[0]["max_tokens"] == 9


def refuses_schemas(_number: int, request: dict[str, Any]) -> Reply | None:
    return Reply(status=400) if "response_format" in request else None


def test_a_server_without_schemas_is_asked_without_and_that_is_said(
    server: LLMServer, cache: Path
) -> None:
    server.script = refuses_schemas
    notes = Notes()
    outcomes = ask(server, requests(30, schema=SCHEMA), cache, reporter=notes, concurrency=3)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert len(notes.said) == 1
    assert "refuses a JSON schema (response_format): m is asked without one" in notes.said[0]
    assert sum("response_format" in call for call in server.calls) <= 3
    # The same question, in whatever form it was sent.
    before = server.num_calls
    ask(server, requests(30, schema=SCHEMA), cache)
    assert server.num_calls == before


def test_structured_on_does_not_go_without(server: LLMServer, cache: Path) -> None:
    server.script = refuses_schemas
    outcomes = ask(server, requests(2, schema=SCHEMA), cache, structured="on")
    assert [type(outcome) for outcome in outcomes] == [Failure, Failure]
    server.script = lambda *_: None
    ask(server, requests(3, schema=SCHEMA)[2:], cache, structured="off")
    assert "response_format" not in server.calls[-1]


def test_a_refused_record_does_not_turn_schemas_off(server: LLMServer, cache: Path) -> None:
    def script(_number: int, request: dict[str, Any]) -> Reply | None:
        return Reply(status=400) if "question 0" in request["messages"][-1]["content"] else None

    server.script = script
    outcomes = ask(server, requests(4, schema=SCHEMA), cache, concurrency=1)
    assert [type(outcome) for outcome in outcomes] == [Failure, Answer, Answer, Answer]
    assert all("response_format" in call for call in server.calls[2:])


def test_the_other_word_for_max_tokens(server: LLMServer, cache: Path) -> None:
    words = b'{"error": {"message": "Use \'max_completion_tokens\' instead."}}'
    server.script = lambda _number, request: (
        Reply(status=400, raw=words) if "max_tokens" in request else None
    )
    notes = Notes()
    outcomes = ask(server, requests(5), cache, reporter=notes, concurrency=1)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert [call.get("max_completion_tokens") for call in server.calls] == [None, 9, 9, 9, 9, 9]
    assert len(notes.said) == 1


@pytest.mark.parametrize(
    ("limits", "least_s"),
    [({"requests_per_minute": 600.0}, 1.8), ({"tokens_per_minute": 6000.0}, 1.8)],
    ids=["requests", "tokens"],
)
def test_limits_of_a_minute(
    server: LLMServer, cache: Path, limits: dict[str, float], least_s: float
) -> None:
    # 30 calls of 3 + 9 tokens: 10 calls or 100 tokens a second, the first second's at once.
    start = time.monotonic()
    ask(server, requests(30), cache, concurrency=30, **limits)
    assert least_s < time.monotonic() - start


def test_an_answer_from_another_server_is_said(server: LLMServer, cache: Path) -> None:
    ask(server, requests(2), cache)
    notes = Notes()
    with LLMServer() as other:
        ask(other, requests(2), cache, reporter=notes)
        assert other.num_calls == 0
    assert notes.said == [f"some answers are from the cache and were given by {server.url}"]


def test_works_where_a_loop_is_running(server: LLMServer, cache: Path) -> None:
    async def notebook() -> list[Outcome]:
        return ask(server, requests(2), cache)

    assert len(asyncio.run(notebook())) == 2


def test_the_key_is_sent_and_never_told(
    server: LLMServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret-42")
    words = b'{"error": {"message": "sk-very-secret-42 is not a key of ours"}}'
    server.script = lambda *_: Reply(status=401, raw=words)
    with pytest.raises(ServerError) as caught:
        ask(server, requests(1), cache, api_key_env="MY_KEY")
    assert server.calls[0]["_authorization"] == "Bearer sk-very-secret-42"
    assert "*** is not a key of ours" in str(caught.value)
    server.script = lambda *_: None
    ask(server, requests(1), cache, api_key_env="MY_KEY")
    assert "secret" not in repr(caught.value) + str(caught.value.__cause__)
    for path in cache.parent.iterdir():
        assert b"secret" not in path.read_bytes()


def test_a_key_from_a_file(server: LLMServer, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-from-file\n")
    ask(server, requests(1), cache, api_key_file=tmp_path / "key")
    assert server.calls[0]["_authorization"] == "Bearer sk-from-file"
    with pytest.raises(
        LmmixupError, match=r"no-key: No such file.*expected a file with an API key"
    ):
        ask(server, requests(1), cache, api_key_file=tmp_path / "no-key")


def test_no_key_is_sent_where_there_is_none(
    server: LLMServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    ask(server, requests(1), cache)
    assert server.calls[0]["_authorization"] is None


def test_openai_itself_needs_a_key(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    config = LLMConfig()
    with AnswerCache(cache) as kept:
        with pytest.raises(ArgumentError, match=r"no key in \$OPENAI_API_KEY"):
            Client(config, kept, Bill.of(config))


@pytest.mark.parametrize(
    "url", ["ftp://x/v1", "localhost:8000", "http://me:pw@host/v1", "http://host/v1?key=secret"]
)
def test_an_address_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as caught:
        LLMConfig(base_url=url)
    message = caught.value.errors()[0]["msg"]  # type: ignore[attr-defined]
    assert "pw" not in message
    assert "secret" not in message
