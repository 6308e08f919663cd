"""Every form in, the same canonical records out."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc

from lmmixup.errors import ArgumentError, DataError, FileError
from lmmixup.pool import PoolOptions, export, head, open_pool, run, stats
from lmmixup.records import prompt_completion

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALPACA = [
    {"instruction": "Add.", "input": "1 + 1", "output": "2"},
    {"instruction": "Say hi 你好 😀", "input": "", "output": 'Hi\n"there"\t\\ / \u2028 \u0000'},
    {"instruction": "Nothing", "input": "x", "output": ""},
]
PAIRS = [("Add.\n1 + 1", "2"), (ALPACA[1]["instruction"], ALPACA[1]["output"]), ("Nothing\nx", "")]


def canonical(path: Any, **options: Any) -> list[dict[str, Any]]:
    names = ["id", "source", "prompt", "completion", "messages", "task_type"]
    rows: list[dict[str, Any]] = open_pool(path, PoolOptions(**options)).read(names).to_pylist()
    return rows


def pairs(path: Any, **options: Any) -> list[tuple[str, str]]:
    return [(row["prompt"], row["completion"]) for row in canonical(path, **options)]


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def jsonl(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def write_zstd(path: Path, data: bytes) -> None:
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        file.write(data)


def write_stream(path: Path, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows)
    with ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


def write_file(path: Path, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows)
    with ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], Any]] = {
    "p.jsonl": lambda path, rows: path.write_bytes(jsonl(rows)),
    "unescaped.jsonl": lambda path, rows: path.write_text(
        "\r\n\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8-sig"
    ),
    "p.jsonl.gz": lambda path, rows: path.write_bytes(gzip.compress(jsonl(rows))),
    "gzip_under_another_name.jsonl": lambda path, rows: path.write_bytes(
        gzip.compress(jsonl(rows[:1])) + gzip.compress(jsonl(rows[1:]))
    ),
    "p.jsonl.zst": lambda path, rows: write_zstd(path, jsonl(rows)),
    "p.json": lambda path, rows: path.write_text(json.dumps(rows, indent=2)),
    "one_line.json": lambda path, rows: path.write_text(json.dumps(rows)),
    "p.csv": lambda path, rows: pacsv.write_csv(pa.Table.from_pylist(rows), path),
    "p.parquet": lambda path, rows: pq.write_table(pa.Table.from_pylist(rows), path),
    "p.arrow": write_file,
    "stream.arrow": write_stream,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_records(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path, ALPACA)
    got = canonical(path)
    assert [(row["prompt"], row["completion"]) for row in got] == PAIRS
    assert [row["source"] for row in got] == [name.partition(".")[0]] * 3
    assert got[0]["messages"] == [
        {"role": "user", "content": "Add.\n1 + 1"},
        {"role": "assistant", "content": "2"},
    ]
    expected_ids = [row["id"] for row in canonical(pa.Table.from_pylist(ALPACA))]
    assert [row["id"] for row in got] == expected_ids
    assert all(len(one) == 16 for one in expected_ids)


TURNS = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    {"role": "user", "content": "c"},
    {"role": "assistant", "content": "d"},
    {"role": "user", "content": "unanswered"},
]
SHAREGPT = [
    {"from": {"user": "human", "assistant": "gpt"}.get(t["role"], t["role"]), "value": t["content"]}
    for t in TURNS
]
SCHEMAS = {
    "alpaca": ({"instruction": "i", "input": "x", "output": "o"}, ("i\nx", "o")),
    "sharegpt": ({"conversations": SHAREGPT}, ("a\nb\nc", "d")),
    "messages": ({"messages": TURNS}, ("a\nb\nc", "d")),
    "prompt_completion": ({"prompt": "p", "response": "r"}, ("p", "r")),
    "mixture": ({"instruction": "i", "input": "x", "output": "o", "cot": "c"}, ("i\nx", "o")),
    "conversational": (
        {"prompt": TURNS[:4], "completion": TURNS[4:5]},
        ("a\nb\nc", "d"),
    ),
}


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_every_schema_is_found_and_comes_back(tmp_path: Path, schema: str, ending: str) -> None:
    row, pair = SCHEMAS[schema]
    rows = [{**row, "extra": {"a": [1, None]}, "n": number} for number in range(3)]
    path = tmp_path / f"pool.{ending}"
    WRITERS[f"p.{ending}"](path, rows)
    pool = open_pool(path)
    assert pool.schema_name == {"conversational": "prompt_completion"}.get(schema, schema)
    assert pairs(path) == [pair] * 3
    run(pool, output=tmp_path / "out")
    back = tmp_path / f"back.{ending}"
    assert export(open_pool(tmp_path / "out"), back) == 3
    if ending == "jsonl":
        assert lines(back) == rows
    elif ending == "json":
        assert json.loads(back.read_text()) == rows
    else:
        assert pq.read_table(back).to_pylist() == rows


def test_messages_in_every_form_agree(tmp_path: Path) -> None:
    forms = {
        "text": pa.table({"messages": [json.dumps(TURNS)]}),
        "typed": pa.Table.from_pylist([{"messages": TURNS}]),
        "large": pa.Table.from_pylist([{"messages": TURNS}]).cast(
            pa.schema([("messages", pa.large_list(
                pa.struct([("role", pa.large_string()), ("content", pa.large_string())])))])
        ),
    }  # fmt: skip
    path = tmp_path / "messages.jsonl"
    path.write_bytes(jsonl([{"messages": TURNS}]))
    expected = canonical(path)
    assert expected[0]["messages"] == TURNS
    for form, table in forms.items():
        got = canonical(table, source="messages")
        assert got == expected, form
    assert prompt_completion(TURNS) == (expected[0]["prompt"], expected[0]["completion"])


def test_prompt_completion_says_what_is_missing() -> None:
    with pytest.raises(DataError, match="at least one assistant turn, got turns of: user"):
        prompt_completion([{"role": "user", "content": "x"}])
    with pytest.raises(DataError, match="one without 'content'"):
        prompt_completion([{"role": "user"}])
    assert prompt_completion([{"role": "gpt", "content": None}]) == ("", "")


def test_columns_types_hold_everything(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "completion": "c", "id": 7, "flag": True, "n": 1, "x": 1, "s": "1",
         "mixed": 1, "big": 2**70, "list": [1], "null": None},
        {"prompt": "q", "completion": "c", "id": 8, "flag": False, "n": -(2**63), "x": 0.5, "s": "",
         "mixed": "1", "big": 1, "list": {"k": "\u00e9"}, "null": None, "late": "x"},
    ]  # fmt: skip
    path = tmp_path / "p.jsonl"
    path.write_bytes(jsonl(rows))
    pool = open_pool(path)
    types = {field.name: str(field.type) for field in pool.schema}
    assert {name: types[name] for name in ("flag", "n", "x", "s", "mixed", "big", "late")} == {
        "flag": "bool", "n": "int64", "x": "double", "s": "string", "mixed": "string",
        "big": "string", "late": "string",
    }  # fmt: skip
    assert types["original_id"] == "int64"
    assert pool.schema.field("list").metadata[b"ARROW:extension:name"] == b"arrow.json"
    assert pool.read(["id"]).column("id").to_pylist() == ["7", "8"]
    run(pool, output=tmp_path / "out")
    export(open_pool(tmp_path / "out"), tmp_path / "back.jsonl")
    assert lines(tmp_path / "back.jsonl") == rows


def test_ids_are_unique_and_do_not_depend_on_order(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "completion": "1"}, {"prompt": "b", "completion": "2"},
            {"prompt": "a", "completion": "1"}]  # fmt: skip
    path, turned = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    path.write_bytes(jsonl(rows))
    turned.write_bytes(jsonl(rows[::-1]))
    ids = [row["id"] for row in canonical(path)]
    assert ids[2] == f"{ids[0]}-2"
    assert [row["id"] for row in canonical(turned)][::-1] == [ids[2], ids[1], ids[0]]
    both = [row["id"] for row in canonical([path, turned])]
    assert len(set(both)) == 6


def test_own_ids_and_their_repeats(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    rows = [{"id": name, "prompt": "p", "completion": "c"} for name in ("x", "y", "x", None)]
    path.write_bytes(jsonl(rows))
    pool = open_pool(path)
    ids = pool.read(["id"]).column("id").to_pylist()
    assert ids[:2] == ["x", "y"]
    assert len(ids[2]) == 16
    (reject,) = pool.rejects
    assert (reject.line, reject.reason) == (3, "id")
    assert json.loads(reject.raw) == rows[2]
    assert reject.message == (
        f"{path}:3: expected an id that is new in the pool, got `x` again; "
        "make ids from the content with --ids content"
    )
    assert len(canonical(path, ids="content")) == 4
    needs = open_pool(path, PoolOptions(ids="column"))
    assert [reject.line for reject in needs.rejects] == [3, 4]


def test_sources(tmp_path: Path) -> None:
    for name in ("a", "b"):
        row = {"prompt": name, "completion": "c"} | ({"source": "own"} if name == "b" else {})
        (tmp_path / f"{name}.jsonl").write_bytes(jsonl([row]))
    assert [r["source"] for r in canonical(str(tmp_path / "*.jsonl"))] == ["a", "own"]
    named = canonical(str(tmp_path / "*.jsonl"), source="mine")
    assert [r["source"] for r in named] == ["mine", "mine"]


def test_files_of_different_columns_and_formats(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl([{"prompt": "a", "completion": "1", "n": 1}]))
    pq.write_table(
        pa.table({"instruction": ["b"], "output": ["2"], "n": [0.5], "tag": ["t"]}),
        tmp_path / "b.parquet",
    )
    pool = open_pool([tmp_path / "a.jsonl", tmp_path / "b.parquet"])
    assert pool.schema_name == "prompt_completion+alpaca"
    rows = pool.read().to_pylist()
    assert [(row["prompt"], row["n"], row["tag"]) for row in rows] == [
        ("a", 1.0, None),
        ("b", 0.5, "t"),
    ]
    run(pool, output=tmp_path / "out")
    export(open_pool(tmp_path / "out"), tmp_path / "back.jsonl")
    back = lines(tmp_path / "back.jsonl")
    assert back[0] == {"prompt": "a", "completion": "1", "n": 1.0}


def test_columns_and_schema_that_are_named(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(jsonl([{"q": "?", "ctx": "c", "a": "!", "instruction": "i", "output": "o"}]))
    assert pairs(path) == [("i", "o")]
    assert pairs(path, columns={"prompt": "ctx+q", "completion": "a"}) == [("c\n?", "!")]
    with pytest.raises(DataError, match="expected a column `nope`, got q, ctx"):
        open_pool(path, PoolOptions(columns={"prompt": "nope", "completion": "a"}))
    with pytest.raises(DataError, match=r"schema sharegpt \(conversations\), got q, ctx"):
        open_pool(path, PoolOptions(schema="sharegpt"))
    with pytest.raises(ArgumentError, match="expected parts among prompt"):
        open_pool(path, PoolOptions(columns={"question": "q"}))


def test_hugging_face_folder(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    names = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    for number, name in enumerate(names):
        write_stream(folder / name, [{"prompt": f"p{number}", "completion": "c"}])
    (folder / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": name} for name in names]})
    )
    assert [(r["prompt"], r["source"]) for r in canonical(folder)] == [
        ("p0", "saved"),
        ("p1", "saved"),
    ]
    outer = tmp_path / "dict"
    outer.mkdir()
    folder.rename(outer / "train")
    (outer / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(DataError, match="expected one split of a dataset, got train, test"):
        open_pool(outer)


@pytest.mark.parametrize("text", ["{", "{}", '{"splits": 1}', "[]"])
def test_splits_that_cannot_be_read_are_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset_dict.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset_dict\.json: expected the splits of a dataset"):
        open_pool(tmp_path)


def test_parquet_shards(tmp_path: Path) -> None:
    for name in ("b", "a"):
        pq.write_table(
            pa.table({"prompt": [name], "completion": ["c"]}), tmp_path / f"{name}.parquet"
        )
    assert pairs(tmp_path) == [("a", "c"), ("b", "c")]


def test_stdin_and_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(jsonl(ALPACA))))
    assert pairs("-") == PAIRS
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(gzip.compress(jsonl(ALPACA))))
    writer.start()
    pool = open_pool(pipe)
    writer.join()
    assert pool.num_records == 3
    assert pool.read(["prompt"]).num_rows == 3


def test_sample_depends_on_ids_only(tmp_path: Path) -> None:
    rows = [{"id": str(n), "prompt": f"p{n}", "completion": "c"} for n in range(500)]
    (tmp_path / "a.jsonl").write_bytes(jsonl(rows))
    (tmp_path / "b.jsonl").write_bytes(jsonl(rows[::-1]))
    first = [row["id"] for row in canonical(tmp_path / "a.jsonl", sample=20)]
    assert len(set(first)) == 20
    assert first == sorted(first, key=int)
    assert set(first) == {row["id"] for row in canonical(tmp_path / "b.jsonl", sample=20)}
    assert set(first) != {
        row["id"] for row in canonical(tmp_path / "a.jsonl", sample=20, sample_seed=1)
    }
    pool = open_pool(tmp_path / "a.jsonl").sample(1000)
    assert pool.num_records == 500


def test_own_result_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(jsonl(ALPACA))
    result = run(open_pool(path), output=tmp_path / "out")
    assert result.counts["kept"] == 3
    assert result.figures == {"schema": "alpaca", "empty_prompts": 0, "empty_completions": 1}
    again = open_pool(tmp_path / "out")
    assert again.read().equals(open_pool(path).read())
    assert again.schema == open_pool(path).schema
    two = open_pool([tmp_path / "out", path])
    assert two.num_records == 6
    assert two.read(["output"]).column("output").to_pylist() == [r["output"] for r in ALPACA] * 2


@pytest.mark.parametrize("num_threads", [1, 2, 7])
def test_same_at_any_number_of_threads(tmp_path: Path, num_threads: int) -> None:
    path = tmp_path / "p.jsonl"
    rows = [{"prompt": f"{n} " * (n % 700), "completion": str(n % 50)} for n in range(9000)]
    data = jsonl(rows)
    broken = data.replace(b'"prompt": "5', b'"prompt" "5')
    path.write_bytes(broken)
    assert len(broken) > 6 << 20
    pool = open_pool(path)
    batches = list(pool.batches(num_threads=num_threads))
    table = pa.Table.from_batches(batches)
    got = dict(zip(table["prompt"].to_pylist(), table["completion"].to_pylist(), strict=True))
    bad = [
        at for at, line in enumerate(broken.decode().splitlines(), start=1) if '"prompt" "5' in line
    ]
    assert [reject.line for reject in pool.rejects] == bad
    assert table.num_rows + len(bad) == 9000
    assert got == {r["prompt"]: r["completion"] for r in rows if not r["prompt"].startswith("5")}
    assert pool.read().equals(table)


def test_stats_and_head(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    rows = [{"prompt": "你好", "completion": "x" * n, "source": "ab"[n % 2]} for n in (0, 1, 2, 2)]
    path.write_bytes(jsonl(rows))
    found = stats(open_pool(path))
    by_name = {row.source: row for row in found.sources}
    assert list(by_name) == ["a", "b", "(all)"]
    assert by_name["(all)"].num_records == 4
    assert by_name["a"].exact_duplicates == 1
    assert by_name["(all)"].empty_completions == 1
    assert by_name["(all)"].prompt.max == 2
    assert by_name["(all)"].completion.mean == pytest.approx(1.25)
    assert [r["messages"][1]["content"] for r in head(open_pool(path), 2)] == ["", "x"]


def test_unknown_columns_and_places(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(jsonl(ALPACA))
    with pytest.raises(ArgumentError, match="expected columns among id, source"):
        list(open_pool(path).batches(["nope"]))
    with pytest.raises(FileError, match="No such file"):
        open_pool(tmp_path / "missing.jsonl")
    with pytest.raises(FileError, match="expected files of this pattern, got none"):
        open_pool(str(tmp_path / "*.csv"))
    with pytest.raises(ArgumentError, match="at least one source"):
        open_pool([])


def test_leaving_early_stops_the_threads(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(jsonl([{"prompt": "p" * 1000, "completion": str(n)} for n in range(20_000)]))
    before = threading.active_count()
    for _ in range(20):
        batches = open_pool(path).batches(["prompt"], num_threads=4)
        next(batches)
        batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert len(os.listdir("/proc/self/task")) < 40
