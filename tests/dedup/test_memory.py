"""Duplicates among records in memory: what the stage finds in files, and what cannot be used."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import lmmixup
from lmmixup.dedup import DedupConfig, Duplicate, families
from lmmixup.errors import DataError
from lmmixup.pool import open_pool

TEXTS = ["one two three four five six", "else", "One two three four five six seven", "else"]


def test_texts_dicts_and_tables_are_the_same() -> None:
    dicts = [{"instruction": text, "input": "", "output": ""} for text in TEXTS]
    config = DedupConfig(threshold=0.6)
    found = lmmixup.deduplicate(TEXTS, config)
    assert found.kept.tolist() == [2, 3]
    assert found.dropped == [Duplicate(0, 2, 2 / 3), Duplicate(1, 3, 1.0)]
    for same in (dicts, pa.Table.from_pylist(dicts), canonical(dicts)):
        again = lmmixup.deduplicate(same, config, num_threads=2)
        assert (again.kept.tolist(), again.dropped) == (found.kept.tolist(), found.dropped)
    whole = families(open_pool(pa.Table.from_pylist(dicts)), config)
    assert found.families.family.tolist() == whole.family.tolist()


def canonical(dicts: list[dict[str, str]]) -> pa.Table:
    return open_pool(pa.Table.from_pylist(dicts)).read()


def test_a_column_that_the_first_record_lacks_is_there() -> None:
    records: list[dict[str, Any]] = [
        {"prompt": "a", "completion": "b"},
        {"prompt": "a", "completion": "b", "rating": 5},
    ]
    found = lmmixup.deduplicate(records, DedupConfig(rating="rating"))
    assert found.kept.tolist() == [1]
    assert found.dropped[0].kept == 1


def test_nothing_is_nothing() -> None:
    found = lmmixup.deduplicate([])
    assert (found.kept.tolist(), found.dropped, found.families.num_families) == ([], [], 0)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([{"prompt": "a", "completion": "b"}, {"prompt": "a"}], "row 2"),
        (["text", {"prompt": "a"}], "all texts or all dicts"),
        ([{"prompt": "a", "completion": "b"}, {"prompt": 5, "completion": "b"}], "'prompt'"),
        ([{"colour": "red"}], "known schema"),
    ],
)
def test_what_cannot_be_used_is_refused(records: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        lmmixup.deduplicate(records)
