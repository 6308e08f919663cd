"""The teacher on a server: read strictly, rated, paid for once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from llm_server import LLMServer, Reply

from lmmixup.contract import parse, render
from lmmixup.errors import DataError, LmmixupError
from lmmixup.mixture import MixtureConfig, open_texts, preview, run
from lmmixup.mixture.split import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

QA = render("The passage says so.", "Q: What is it?\nA: It is good, because the text says so.")
HIGH, LOW = '{"overall": 9}', '{"overall": 7}'
VARIANTS = json.dumps(
    [
        {"kinds": ["information-removed"], "prompt": "What is it?", "completion": "Good."},
        {"kinds": ["redundant", "reasoning-removed"], "prompt": "It?", "completion": "Good. Good."},
        {"kinds": ["partly-wrong", "vague"], "prompt": "It?", "completion": "It is bad, I guess."},
    ]
)


def step(request: dict[str, Any]) -> str:
    """Which of the requests it is, by its system turn."""
    system = request["messages"][0]["content"]
    if system.startswith("You make records worse"):
        return "degrade"
    if system.startswith("You rate"):
        return "rate"
    return "fuse" if "From two records" in system else "write"


def script(**replies: str) -> Callable[[int, dict[str, Any]], Reply]:
    texts = {"write": QA, "fuse": QA, "rate": HIGH, "degrade": VARIANTS, **replies}
    return lambda _number, request: Reply(text=texts[step(request)])


def build(texts: Any, output: Path, server: LLMServer, **options: Any) -> Any:
    given = {
        "teacher": "openai:m", "base_url": server.url, "task_types": ("qa",), "library": False,
        "max_retries": 1, "timeout_s": 5.0, "cache": str(output.parent / "cache.sqlite"), **options,
    }  # fmt: skip
    return run(open_texts(texts), MixtureConfig(**given), output=output, overwrite=True)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for part in PARTS for row in pq.read_table(folder / f"{part}.parquet").to_pylist()]


def test_a_model_writes_rates_degrades_and_fuses(
    texts: pa.Table, server: LLMServer, tmp_path: Path
) -> None:
    server.script = script()
    result = build(texts.slice(0, 30), tmp_path / "out", server, fuse_max_similarity=1.0, noise=0)
    rows = rows_of(tmp_path / "out")
    fused = sum(len(row["texts"]) == 2 for row in rows)
    assert fused > 0
    assert len(rows) + fused == 30
    for row in rows:
        assert row["completion"].startswith("Q: What is it?")
        assert (row["rating"], row["rating_source"]) == (5, "m")
        assert row["cot"] == "The passage says so."
        assert parse(row["messages"][2]["content"]) is not None
        assert {one["rating"] for one in row["sources"]} <= {0, 2, 3}
    steps = [step(call) for call in server.calls]
    assert {name: steps.count(name) for name in ("write", "fuse")} == {"write": 30, "fuse": fused}
    answers = pq.read_table(tmp_path / "out" / "answers.parquet").to_pylist()
    assert len(answers) == result.figures["answers"] == 3 * 30 + 2 * fused
    title = texts["title"][0].as_py()
    [first] = [call for call in server.calls if step(call) == "write" and title in str(call)]
    assert texts["text"][0].as_py() in first["messages"][1]["content"]


def test_what_cannot_be_used_is_asked_again_and_then_counted(
    texts: pa.Table, server: LLMServer, tmp_path: Path
) -> None:
    few = json.dumps(json.loads(VARIANTS)[:1])
    same = json.dumps(
        [
            {
                "kinds": ["vague"],
                "prompt": "What is it?",
                "completion": "It is good, because the text says so.",
            }
        ]
        * 3
    )
    unknown = VARIANTS.replace("redundant", "shouted")
    for replies, reason in (
        ({"write": "Q: a\nA: b"}, "not-in-tags"),
        ({"write": render("", "no form")}, "wrong-form"),
        ({"rate": LOW}, "rated-low"),
        ({"rate": "good"}, "unrated"),
        ({"degrade": "Sure! Here"}, "no-json"),
        ({"degrade": "{}"}, "no-json"),
        ({"degrade": few}, "too-few-variants"),
        ({"degrade": same}, "too-few-variants"),
        ({"degrade": unknown}, "wrong-variant"),
        ({"degrade": '[{"kinds": ["vague"], "prompt": "", "completion": "x"}]'}, "wrong-variant"),
    ):
        server.script = script(**replies)
        output = tmp_path / "out"
        result = build(texts.slice(0, 4), output, server, retries=1, cache="none")
        assert rows_of(output) == [], reason
        assert result.figures["refused"]["qa"] == {reason: 4}
        assert result.counts["dropped"] == {"no-sample": 4}
        assert result.figures["answers_asked_again"] > 0
        answers = pq.read_table(output / "answers.parquet").to_pylist()
        assert sum((row["problem"] or "").startswith(f"{reason}:") for row in answers) == 8


def test_an_answer_that_stops_in_the_middle_is_none(
    texts: pa.Table, server: LLMServer, tmp_path: Path
) -> None:
    replies = [
        Reply(text=QA[:-20], finish_reason="length"), Reply(text=None, refusal="No."),
        Reply(text=None), Reply(status=400), Reply(raw=b"{", send=0.5), Reply(text=QA, send=0.5),
    ]  # fmt: skip
    titles = texts["title"].to_pylist()

    def answer(_number: int, request: dict[str, Any]) -> Reply:
        place = next((at for at in range(6) if titles[at] in str(request)), None)
        return (
            replies[place]
            if place is not None and step(request) == "write"
            else script()(0, request)
        )

    server.script = answer
    result = build(texts.slice(0, 6), tmp_path / "out", server, retries=0)
    assert result.counts["dropped"] == {"no-sample": 6}
    refused = result.figures["refused"]["qa"]
    assert sum(refused.values()) == 6
    assert {"truncated", "refused", "not-in-tags"} <= set(refused)


def test_without_reasoning_and_with_another_judge(
    texts: pa.Table, server: LLMServer, tmp_path: Path
) -> None:
    server.script = script()
    build(texts.slice(0, 4), tmp_path / "out", server, cot=False, judge="strict", fuse=0)
    assert {row["cot"] for row in rows_of(tmp_path / "out")} == {None}
    assert {row["rating_source"] for row in rows_of(tmp_path / "out")} == {"strict"}
    assert {call["model"] for call in server.calls if step(call) == "rate"} == {"strict"}
    assert all(parse(row["messages"][2]["content"]) for row in rows_of(tmp_path / "out"))


def test_a_server_that_dies_half_way_costs_nothing_twice(
    texts: pa.Table, server: LLMServer, tmp_path: Path
) -> None:
    options = {"concurrency": 2, "max_failures": 3, "max_retries": 0, "task_types": ("qa",)}
    good = script()
    server.script = lambda number, request: (
        good(number, request) if number < 60 else Reply(status=503)
    )
    with pytest.raises(LmmixupError, match="the same command goes on from there"):
        build(texts.slice(0, 60), tmp_path / "out", server, **options)
    assert not (tmp_path / "out").exists()
    server.script = good
    build(texts.slice(0, 60), tmp_path / "out", server, **options)
    # The same degraded records come of the same answer; writing is asked once a passage.
    written = [call["messages"][1]["content"] for call in server.calls if step(call) == "write"]
    answered = [one for one in written if server.answered[one]]
    assert max(server.answered[one] for one in answered) == 1
    assert len(set(answered)) == 60


def test_a_teacher_that_gives_nothing_is_stopped(
    texts: pa.Table, server: LLMServer, tmp_path: Path
) -> None:
    server.script = script(write="no")
    with pytest.raises(DataError, match="the first 50 passages gave no record"):
        build(texts, tmp_path / "out", server, retries=0)
    result = build(texts, tmp_path / "out", server, retries=0, keep_going=True)
    assert result.counts["made"] == 0


def test_the_cost_is_bounded_and_told_before(
    texts: pa.Table, server: LLMServer, tmp_path: Path
) -> None:
    options = {"teacher": "openai:m", "base_url": server.url, "price_in": 1.0, "price_out": 1.0}
    lines = dict(preview(open_texts(texts.slice(0, 10)), MixtureConfig(**options)))
    assert server.num_calls == 0
    assert lines["records to write"] == "50"
    assert float(lines["price at most"].replace(",", "")) > 0
    server.script = script()
    with pytest.raises(LmmixupError, match="max_cost"):
        build(texts, tmp_path / "out", server, price_in=1.0, price_out=1.0, max_cost=0.01)


@pytest.mark.slow
def test_killed_and_started_again_pays_once_and_writes_the_same_bytes(
    texts: pa.Table, server: LLMServer, tmp_path: Path
) -> None:
    pool = tmp_path / "texts.parquet"
    pq.write_table(texts, pool)
    good = script()
    server.script = lambda number, request: Reply(text=good(number, request).text, delay_s=0.01)
    shared = [sys.executable, "-m", "lmmixup", "mixture", "build", str(pool), "--quiet",
              "--teacher", "openai:m", "--base-url", server.url, "--concurrency", "8",
              "--task-types", "qa,tfq", "--no-library", "--cache", "none",
              "--keep-going"]  # fmt: skip
    env = {**os.environ, "OPENAI_API_KEY": "sk-test"}
    subprocess.run([*shared, "-o", str(tmp_path / "whole")], check=True, env=env)
    num_calls, server.num_calls = server.num_calls, 0
    args = [*shared, "-o", str(tmp_path / "killed")]
    process = subprocess.Popen(args, env=env, stderr=subprocess.PIPE)
    while server.num_calls < 100:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "killed").exists()
    subprocess.run(args, check=True, env=env)
    assert server.num_calls <= num_calls + 8
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "killed").iterdir())
    for name in names:
        same = (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()
        assert same, name
