"""`lmmixup split`: three pools whose records add up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lmmixup import dedup
from lmmixup.cli import cli
from lmmixup.errors import ArgumentError, DataError
from lmmixup.explain import explain
from lmmixup.pool import open_pool
from lmmixup.progress import Reporter
from lmmixup.split import SplitConfig, run

if TYPE_CHECKING:
    from pathlib import Path

RATINGS = [5, 4, 3, None, 0, 4, None, 3]


def table(ratings: list[float | None] = RATINGS, kind: pa.DataType | None = None) -> pa.Table:
    rows = range(len(ratings))
    return pa.table(
        {
            "id": [f"r{row}" for row in rows],
            "prompt": [f"question {row}" for row in rows],
            "completion": [f"answer {row} in words of its own" for row in rows],
            "rating": pa.array(ratings, kind),
        }
    )


def ids(folder: Path) -> list[str]:
    return list(pq.read_table(folder / "data.parquet")["id"].to_pylist())


def test_each_record_is_in_one_pool(tmp_path: Path) -> None:
    result = run(open_pool(table()), output=tmp_path / "out")
    assert ids(tmp_path / "out" / "high") == ["r0", "r1", "r5"]
    assert ids(tmp_path / "out" / "low") == ["r2", "r4", "r7"]
    assert ids(tmp_path / "out" / "unrated") == ["r3", "r6"]
    assert result.counts["kept"] == result.counts["input"] == 8
    assert result.figures == {"high": 3, "low": 3, "unrated": 2}
    outputs = result.manifest["outputs"]
    assert [outputs[f"{part}/data.parquet"]["num_records"] for part in ("high", "low")] == [3, 3]


class Notes(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (4.0, "high is rating of 4 and more: 3 of 8 records"),
        (9.0, "0 of 8 records; rating goes from 0 to 5, so --at cuts off nothing"),
        (0.0, "6 of 8 records; rating goes from 0 to 5, so --at cuts off nothing"),
    ],
)
def test_where_it_cuts_is_said(tmp_path: Path, at: float, said: str) -> None:
    notes = Notes()
    run(open_pool(table()), SplitConfig(at=at), output=tmp_path / "out", reporter=notes)
    assert notes.said[-1].endswith(said)


def test_that_nothing_is_rated_is_said(tmp_path: Path) -> None:
    notes = Notes()
    pool = open_pool(table([None] * 8, pa.int8()))
    run(pool, SplitConfig(), output=tmp_path / "out", reporter=notes)
    assert notes.said == ["no record has a rating in 'rating'"]


@pytest.mark.parametrize(
    ("unrated", "expected"), [("high", (5, 3, 0)), ("low", (3, 5, 0)), ("apart", (3, 3, 2))]
)
def test_unrated_goes_where_it_is_told(
    tmp_path: Path, unrated: str, expected: tuple[int, ...]
) -> None:
    result = run(open_pool(table()), SplitConfig(unrated=unrated), output=tmp_path / "out")
    assert tuple(result.figures.values()) == expected


def test_fractions_and_nan(tmp_path: Path) -> None:
    ratings = [3.5, 3.4999, float("nan"), None]
    result = run(
        open_pool(table(ratings, pa.float32())), SplitConfig(at=3.5), output=tmp_path / "out"
    )
    assert tuple(result.figures.values()) == (1, 1, 2)


def test_the_next_stage_opens_a_part_and_explain_finds_the_way(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "rated.parquet")
    run(open_pool(tmp_path / "rated.parquet"), output=tmp_path / "split")
    dedup.run(open_pool(tmp_path / "split" / "low"), output=tmp_path / "deduped")
    chapters = explain("r4", [tmp_path / "deduped"])
    assert [(chapter.stage, chapter.outcome) for chapter in chapters] == [
        ("split", "kept"),
        ("dedup", "kept"),
    ]
    assert chapters[0].facts["pool"] == "low"
    high = explain("r0", [tmp_path / "deduped"])
    assert [(chapter.stage, chapter.outcome) for chapter in high] == [
        ("split", "kept"),
        ("dedup", "absent"),
    ]


def test_same_bytes_at_any_number_of_threads(tmp_path: Path) -> None:
    ratings = np.random.default_rng(0).integers(0, 6, 40_000).tolist()
    pq.write_table(table(ratings), tmp_path / "rated.parquet")
    for threads in (1, 2, 7):
        run(
            open_pool(tmp_path / "rated.parquet"),
            output=tmp_path / str(threads),
            num_threads=threads,
        )
    for path in (tmp_path / "1").rglob("*.parquet"):
        for threads in ("2", "7"):
            other = tmp_path / threads / path.relative_to(tmp_path / "1")
            assert other.read_bytes() == path.read_bytes(), other


def test_broken_records_are_counted(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in table().to_pylist()]
    (tmp_path / "rated.jsonl").write_text("\n".join([*lines, "{broken"]) + "\n")
    args = ["split", str(tmp_path / "rated.jsonl"), "-o", str(tmp_path / "out"), "--at", "4"]
    result = CliRunner().invoke(cli, args, standalone_mode=False)
    assert result.return_value == 3
    assert "rated.jsonl:9" in result.output
    counts = json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]
    assert (counts["input"], counts["kept"]) == (9, 8)


def test_bad_ratings_are_one_clear_line(tmp_path: Path) -> None:
    for column, message in (("stars", "got 'stars'"), ("prompt", "must hold numbers, got string")):
        with pytest.raises(ArgumentError, match=message):
            run(open_pool(table()), SplitConfig(rating=column), output=tmp_path / "out")
    endless = table([1.0, float("inf")], pa.float64())
    with pytest.raises(DataError, match="column 'rating': row 1: expected a finite rating"):
        run(open_pool(endless), output=tmp_path / "out")
    with pytest.raises(DataError, match="expected records to split, got none"):
        run(open_pool(table().slice(0, 0)), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
