"""Public pools through every form: no record lost, none changed."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from lmmixup.errors import DataError
from lmmixup.pool import PoolOptions, export, open_pool, run, stats

if TYPE_CHECKING:
    from pathlib import Path

POOLS = ["alpaca_en", "alpaca_zh", "lima", "t0_train"]


@pytest.mark.parametrize("name", POOLS)
def test_parquet_and_jsonl_agree_and_come_back(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    parquet = shared_data / "pools" / f"pool_{name}.parquet"
    rows = pq.read_table(parquet).slice(0, 8000).to_pylist()
    jsonl = tmp_path / f"pool_{name}.jsonl.gz"
    text = "".join(json.dumps(row, ensure_ascii=len(rows) % 2 == 0) + "\n" for row in rows)
    jsonl.write_bytes(gzip.compress(text.encode(), 1))
    ours = open_pool(jsonl)
    assert ours.schema_name == "alpaca"
    table = ours.read()
    assert table.equals(open_pool(parquet).read().slice(0, len(rows)))
    joined = [f"{r['instruction']}\n{r['input']}" if r["input"] else r["instruction"] for r in rows]
    assert table["prompt"].to_pylist() == joined
    assert table["completion"].to_pylist() == [row["output"] for row in rows]
    run(ours, output=tmp_path / "out")
    export(open_pool(tmp_path / "out"), tmp_path / "back.jsonl")
    back = (tmp_path / "back.jsonl").read_bytes().splitlines()
    assert [json.loads(line) for line in back] == rows


def test_empty_completions_are_kept_and_counted(shared_data: Path) -> None:
    found = stats(open_pool(shared_data / "pools" / "pool_t0_train.parquet")).sources[-1]
    assert (found.num_records, found.empty_completions) == (55_185, 1400)


def test_a_test_set_in_its_own_columns(shared_data: Path) -> None:
    path = shared_data / "eval" / "gsm8k" / "test.jsonl"
    with pytest.raises(DataError, match=r"test.jsonl: expected columns .*, got question, answer;"):
        open_pool(path)
    options = PoolOptions(columns={"prompt": "question", "completion": "answer"})
    assert open_pool(path, options).num_records == 1319
