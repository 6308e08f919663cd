"""The stage against a scripted server: every record stays, nothing is made up, nothing is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from llm_server import LLMServer, Reply

from lmmixup.errors import DataError, FileError, LmmixupError
from lmmixup.llm.cost import CostLimitError
from lmmixup.pool import export, open_pool
from lmmixup.rate import RateConfig, preview, run

if TYPE_CHECKING:
    from pathlib import Path


def pool(number: int, **columns: list[Any]) -> pa.Table:
    rows = range(number)
    base = {"id": [f"r{row}" for row in rows], "prompt": [f"question {row}" for row in rows],
            "completion": [f"answer {row}" for row in rows]}  # fmt: skip
    return pa.table({**base, **columns})


def asked_row(request: dict[str, Any]) -> int:
    """Number of the record that a request is about."""
    text = request["messages"][-1]["content"]
    return int(text.split("question ")[1].split()[0])


def scored(overall: Any, **more: Any) -> Reply:
    scores = {"rarity": 2, "complexity": 3, "informativeness": 4, "overall": overall}
    return Reply(text=json.dumps(scores), **more)


def rate(
    server: LLMServer | str, table: Any, output: Path, **options: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    url = server if isinstance(server, str) else server.url
    given = {"base_url": url, "model": ("m",), "cache": str(output.parent / "cache.sqlite"),
             "max_retries": 1, "timeout_s": 5.0, **options}  # fmt: skip
    result = run(open_pool(table), RateConfig(**given), output=output, overwrite=True)
    rows: list[dict[str, Any]] = pq.read_table(output / "data.parquet").to_pylist()
    return rows, result.manifest


def test_every_record_stays_rated_or_with_a_reason(server: LLMServer, tmp_path: Path) -> None:
    fenced = Reply(text='```json\n{"OVERALL": 9}\n```')
    replies = [
        scored(8), scored("7/10"), scored(7.5), scored("8"), fenced,
        Reply(text="null"), Reply(text="A good record."), scored(9, finish_reason="length"),
        Reply(text=None, refusal="No."), scored(12), Reply(text='{"winner": "A"}'),
        Reply(status=400), Reply(raw=b"{"),
    ]  # fmt: skip
    server.script = lambda _number, request: replies[asked_row(request)]
    rows, manifest = rate(server, pool(len(replies)), tmp_path / "out")
    assert [row["id"] for row in rows] == [f"r{row}" for row in range(len(replies))]
    assert [row["rating"] for row in rows] == [4, 3, 4, 4, 5, *[None] * 8]
    assert [row["rating_reason"] for row in rows] == [
        *[None] * 5, "no scores in the answer", "no scores in the answer", "truncated", "refused",
        "out of range", "no scores in the answer", "status 400", "malformed answer",
    ]  # fmt: skip
    assert rows[0]["rarity"] == 2.0
    assert rows[4]["rarity"] is None
    assert rows[2]["overall"] == 7.5
    assert {row["judge"] for row in rows} == {"m"}
    counts, figures = manifest["counts"], manifest["figures"]
    assert counts["input"] == counts["kept"] == len(replies)
    assert (figures["rated"], figures["unrated"]) == (5, 8)
    assert sum(figures["unrated_reasons"].values()) == 8
    kept = pq.read_table(tmp_path / "out" / "answers.parquet").to_pylist()
    assert [row["answer"] for row in kept[:4]] == [reply.text for reply in replies[:4]]
    assert kept[9]["detail"] == "12"
    assert "scripted 400" in kept[11]["detail"]
    assert kept[11]["answer"] is None


def test_what_no_file_can_hold_does_not_end_the_run(server: LLMServer, tmp_path: Path) -> None:
    half = "\ud83d"
    error = json.dumps({"error": {"message": f"bad {half}"}}).encode()
    odd = Reply(text=f'{{"overall": 8}} {half} \0')
    replies = [scored(7.1), odd, Reply(text=None, refusal=half), scored(7, finish_reason=half),
               Reply(status=400, raw=error)]  # fmt: skip
    server.script = lambda _number, request: replies[asked_row(request)]
    rows, _ = rate(server, pool(5), tmp_path / "out")
    assert [row["rating"] for row in rows] == [3, 4, None, 3, None]
    assert rows[0]["overall"] == 7.1
    kept = pq.read_table(tmp_path / "out" / "answers.parquet").to_pylist()
    assert kept[1]["answer"] == '{"overall": 8} ? \0'
    assert kept[4]["detail"].endswith("bad ?")


def test_the_task_type_chooses_the_rubric(server: LLMServer, tmp_path: Path) -> None:
    types = ["qa", "tfq", "mcq", "cs", "para", None]
    rate(server, pool(6, task_type=types), tmp_path / "out", concurrency=1)
    begins = [call["messages"][0]["content"][:40] for call in server.calls]
    assert len(set(begins)) == 6
    assert "one statement" in begins[1]


def test_failed_records_are_asked_again_and_no_others(server: LLMServer, tmp_path: Path) -> None:
    down = {3, 8}
    server.script = lambda _number, request: (
        Reply(status=503) if asked_row(request) in down else None
    )
    rows, _ = rate(server, pool(12), tmp_path / "out")
    assert [row["id"] for row in rows if row["rating"] is None] == ["r3", "r8"]
    down.clear()
    before = server.num_calls
    rows, _ = rate(server, pool(12), tmp_path / "out")
    assert all(row["rating"] == 3 for row in rows)
    assert server.num_calls == before + 2


def test_what_a_run_says_does_not_depend_on_the_cache(server: LLMServer, tmp_path: Path) -> None:
    rate(server, pool(30), tmp_path / "one")
    rate(server, pool(30), tmp_path / "two", concurrency=3, max_cost=1, price_in=0, price_out=0)
    assert server.num_calls == 30
    rate(server, pool(30), tmp_path / "three", cache="none")
    assert server.num_calls == 60
    for path in sorted((tmp_path / "one").iterdir()):
        for other in ("two", "three"):
            assert path.read_bytes() == (tmp_path / other / path.name).read_bytes(), path.name
    figures = json.loads((tmp_path / "one" / "manifest.json").read_text())["figures"]
    assert (figures["prompt_tokens"], figures["completion_tokens"]) == (3000, 600)


def test_several_judges(server: LLMServer, tmp_path: Path) -> None:
    overall = {"a": [5, 6, 7, 8, None], "b/B": [5, 7, 9, 8, None], "c": [9, None, 8, 8, None]}
    server.script = lambda _number, request: scored(overall[request["model"]][asked_row(request)])
    rows, manifest = rate(server, pool(5), tmp_path / "out", model=("a", "b/B", "c"))
    assert [row["rating_a"] for row in rows] == [1, 2, 3, 4, None]
    assert [row["rating_b_b"] for row in rows] == [1, 3, 5, 4, None]
    assert [row["overall_c"] for row in rows] == [9.0, None, 8.0, 8.0, None]
    # Medians 5, 6.5 (a half rounds up), 8, 8.
    assert [row["rating"] for row in rows] == [1, 3, 4, 4, None]
    assert [row["num_ratings"] for row in rows] == [3, 2, 3, 3, 0]
    assert rows[1]["rating_reason"] is None
    assert rows[4]["rating_reason"] == "not a score"
    between = manifest["figures"]["agreement"]
    assert list(between) == ["a | b/B", "a | c", "b/B | c"]
    assert between["a | b/B"]["num_records"] == 4
    assert between["a | b/B"]["exact"] == 0.5
    assert manifest["figures"]["answers_without_rating"]["c"] == {"not a score": 2}


def test_judges_on_several_servers_keep_their_keys(
    server: LLMServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "main-key")
    monkeypatch.setenv("OTHER_KEY", "other-key")
    with LLMServer() as second, LLMServer() as third:
        models = ("a", f"b@{second.url}", f"c@{third.url}#OTHER_KEY")
        rate(server, pool(3), tmp_path / "out", model=models)
        sent = [{call["_authorization"] for call in one.calls} for one in (server, second, third)]
    assert sent == [{"Bearer main-key"}, {None}, {"Bearer other-key"}]


def test_a_judge_asked_several_times(server: LLMServer, tmp_path: Path) -> None:
    said = {0: [7, 7, 7], 1: [6, 9, 8], 2: [5, None, 6]}
    seen: dict[int, int] = {}

    def script(_number: int, request: dict[str, Any]) -> Reply:
        row = asked_row(request)
        seen[row] = seen.get(row, -1) + 1
        return scored(said[row][seen[row]])

    server.script = script
    rows, manifest = rate(
        server, pool(3), tmp_path / "out", judge_repeat=3, temperature=1.0, concurrency=1
    )
    assert server.num_calls == 9
    assert [row["rating"] for row in rows] == [3, 4, 2]
    assert [row["num_ratings"] for row in rows] == [3, 3, 2]
    within = manifest["figures"]["agreement_of_repeats"]["m"]
    assert within["num_records"] == 7
    assert within["exact"] == round(3 / 7, 6)


def test_columns_of_the_pool_survive(server: LLMServer, tmp_path: Path) -> None:
    table = pool(4, rating=["good", "bad", "good", "ugly"], extra=[1, 2, 3, 4])
    rows, _ = rate(server, table, tmp_path / "out")
    assert [row["original_rating"] for row in rows] == ["good", "bad", "good", "ugly"]
    assert [row["extra"] for row in rows] == [1, 2, 3, 4]
    export(open_pool(tmp_path / "out"), tmp_path / "back.jsonl")
    back = [json.loads(line) for line in (tmp_path / "back.jsonl").read_text().splitlines()]
    assert back == table.to_pylist()
    # Rated again: the ratings give way, the user's column does not.
    server.script = lambda *_: scored(9)
    again, _ = rate(server, tmp_path / "out", tmp_path / "again", cache="none")
    assert list(again[0]) == list(rows[0])
    assert [row["rating"] for row in again] == [5] * 4
    assert again[3]["original_rating"] == "ugly"


def test_the_cost_limit_is_never_passed_and_nothing_is_lost(
    server: LLMServer, tmp_path: Path
) -> None:
    prices = {"price_in": 100.0, "price_out": 100.0, "concurrency": 8}
    # An answer costs 0.012; before it is known, up to half a unit is set aside.
    with pytest.raises(
        CostLimitError, match=r"stopped at max_cost 1: .* is kept in .*cache.sqlite"
    ):
        rate(server, pool(100), tmp_path / "out", max_cost=1.0, **prices)
    assert 30 < server.num_calls <= 83
    assert not (tmp_path / "out").exists()
    first = server.num_calls
    rows, _ = rate(server, pool(100), tmp_path / "out", max_cost=100.0, **prices)
    assert len(rows) == 100
    assert server.num_calls == 100 > first


def test_a_useless_judge_is_not_paid_for_long(server: LLMServer, tmp_path: Path) -> None:
    server.script = lambda *_: Reply(text='{"winner": "A"}')
    with pytest.raises(DataError, match=r"first 50 records got no rating.*'\{\"winner\": \"A\"\}'"):
        rate(server, pool(3000), tmp_path / "out", concurrency=2)
    assert server.num_calls < 100
    rows, manifest = rate(server, pool(60), tmp_path / "out", keep_going=True)
    assert len(rows) == manifest["figures"]["unrated"] == 60


def test_errors_say_what_is_kept(server: LLMServer, tmp_path: Path) -> None:
    server.script = lambda number, _request: Reply(status=401) if number > 5 else None
    with pytest.raises(LmmixupError, match=r"scripted 401; \d records were done, and every answer"):
        rate(server, pool(20), tmp_path / "out", concurrency=1)
    assert not (tmp_path / "out").exists()


def test_a_cache_that_is_none(server: LLMServer, tmp_path: Path) -> None:
    (tmp_path / "cache.sqlite").write_text("no database " * 100)
    with pytest.raises(FileError, match=r"cache.sqlite: expected a cache of answers"):
        rate(server, pool(2), tmp_path / "out")


def test_preview_asks_nothing(server: LLMServer, tmp_path: Path) -> None:
    options: dict[str, Any] = {"base_url": server.url, "model": ("a", "b"), "judge_repeat": 2,
                               "cache": str(tmp_path / "cache.sqlite")}  # fmt: skip
    table = pa.concat_tables([pool(10), pool(5, id=[f"copy{row}" for row in range(5)])])
    lines = dict(preview(open_pool(table), RateConfig(**options)))
    assert server.num_calls == 0
    assert not (tmp_path / "cache.sqlite").exists()
    assert (lines["records"], lines["requests"]) == ("15", "40")
    assert lines["price (estimate)"].startswith("unknown")
    run(open_pool(pool(4)), RateConfig(**options), output=tmp_path / "out")
    priced = RateConfig(**options, price_in=1.0, price_out=1.0)
    lines = dict(preview(open_pool(table), priced))
    assert (lines["requests"], lines["answers in the cache"]) == ("24", "32")
    assert 0 < float(lines["price (estimate)"]) < float(lines["price at most"])


def test_an_empty_pool(server: LLMServer, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="expected records, got an empty file"):
        rate(server, tmp_path / "empty.jsonl", tmp_path / "out")
    assert server.num_calls == 0
