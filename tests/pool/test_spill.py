"""A spilled pool has the same records, column by column, and is parsed once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lmmixup.errors import ArgumentError
from lmmixup.pool import open_pool, run
from lmmixup.pool.options import PoolOptions
from lmmixup.pool.spill import spilled

if TYPE_CHECKING:
    from pathlib import Path


def test_same_records_and_columns(example_pool: Path, tmp_path: Path) -> None:
    pool = open_pool(example_pool)
    copy = spilled(pool, tmp_path)
    assert copy.schema.equals(pool.schema, check_metadata=True)
    assert copy.read().equals(pool.read())
    for names in (["completion", "id"], ["messages"], ["id"]):
        assert copy.read(names).equals(pool.read(names))
    with pytest.raises(ArgumentError, match="nothing"):
        copy.read(["nothing"])


def test_a_pool_of_ours_is_not_copied(example_pool: Path, tmp_path: Path) -> None:
    run(open_pool(example_pool), output=tmp_path / "pool")
    own = open_pool(tmp_path / "pool")
    (tmp_path / "scratch").mkdir()
    assert spilled(own, tmp_path / "scratch") is own
    sample = spilled(own.sample(5), tmp_path / "scratch")
    assert sample.read().equals(own.sample(5).read())


def test_rejects_stay_with_the_pool(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    good = json.dumps({"prompt": "p", "completion": "c"})
    path.write_text(f"{good}\nnonsense\n")
    pool = open_pool(path, PoolOptions())
    assert spilled(pool, tmp_path).num_records == 1
    path.unlink()  # the one pass over it has said all
    assert [reject.line for reject in pool.rejects] == [2]
