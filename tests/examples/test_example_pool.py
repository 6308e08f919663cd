"""The example pools are what `examples/README.md` says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FIELDS = {"id", "instruction", "input", "output", "source"}


def test_pool_is_clean_and_redundant() -> None:
    lines = (EXAMPLES / "pool.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == 494
    assert all(set(record) == FIELDS for record in records)
    assert all(isinstance(value, str) for record in records for value in record.values())
    assert len({record["id"] for record in records}) == 494
    texts = Counter((r["instruction"], r["input"], r["output"]) for r in records)
    assert sum(texts.values()) - len(texts) == 21
    assert sum(not record["output"] for record in records) == 2
    assert len({record["source"] for record in records}) > 10


def test_rated_records_are_others_than_the_pools() -> None:
    pool, rated = (
        [json.loads(line) for line in (EXAMPLES / name).read_text(encoding="utf-8").splitlines()]
        for name in ("pool.jsonl", "rated.jsonl")
    )
    assert all(set(record) == FIELDS | {"rating"} for record in rated)
    assert len(rated) == len({record["id"] for record in rated}) == 352
    assert len({(r["instruction"], r["input"], r["output"]) for r in rated}) == 352
    assert Counter(record["rating"] for record in rated) == dict(
        zip(range(6), (60, 66, 66, 66, 66, 28), strict=True)
    )
    asked = {record["instruction"].lower() for record in pool}
    both = [r for r in rated if r["instruction"].lower() in asked and not r["input"]]
    assert both == []
    outputs = {record["output"] for record in pool if len(record["output"]) > 40}
    assert not outputs & {record["output"] for record in rated}


@pytest.mark.parametrize("number", range(2, 12))
def test_each_broken_line_is_broken(number: int) -> None:
    lines = (EXAMPLES / "broken.jsonl").read_bytes().split(b"\n")
    first = json.loads(lines[0])
    try:
        record = json.loads(lines[number - 1].decode("utf-8"))
        record["output"].encode("utf-8")
        record["instruction"].encode("utf-8")
    except (ValueError, AttributeError, KeyError, TypeError):
        return
    assert record["id"] == first["id"]
