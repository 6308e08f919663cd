"""From the example pool and its rated library to training files: each stage on the one before."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from pathlib import Path

NUM_SELECTED = 40


def lmmixup(*args: str | Path) -> str:
    command = [sys.executable, "-m", "lmmixup", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ids(file: Path) -> set[str]:
    column = pq.read_table(file, columns=["id"]).column("id").to_pylist() if file.exists() else []
    assert len(column) == len(set(column))
    return set(column)


def counts(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text())["counts"])


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, example_pool: Path) -> Path:
    out = tmp_path_factory.mktemp("rated")
    rated = example_pool.with_name("rated.jsonl")
    lmmixup("library", "build", rated, "-o", out / "library", "--quiet")
    lmmixup("dedup", example_pool, "-o", out / "deduped", "--quiet")
    lmmixup("rate", out / "deduped", "-o", out / "rated", "--knn-bayes", out / "library",
            "--quiet")  # fmt: skip
    lmmixup("split", out / "rated", "-o", out / "split", "--at", "4", "--quiet")
    lmmixup("cluster", out / "split" / "low", "-o", out / "clusters", "--min", "2", "--max", "5",
            "--mean", "3", "--quiet")  # fmt: skip
    lmmixup("select", out / "split" / "high", "-o", out / "selected", "--num", str(NUM_SELECTED),
            "--layout", "trl", "--quiet")  # fmt: skip
    return out


def test_every_record_of_the_pool_has_one_end(chain: Path, example_pool: Path) -> None:
    lines = example_pool.read_text(encoding="utf-8").splitlines()
    incoming = {json.loads(line)["id"] for line in lines}
    ends = [
        chain / "deduped" / "dropped.parquet",
        chain / "split" / "unrated" / "data.parquet",
        *(chain / "clusters" / f"{name}.parquet" for name in ("data", "leftover", "dropped")),
        *(chain / "selected" / f"{name}.parquet" for name in ("data", "dropped")),
    ]
    found = [ids(end) for end in ends]
    assert sum(len(some) for some in found) == len(incoming) == 494
    assert set().union(*found) == incoming


def test_each_stage_takes_what_the_one_before_gave(chain: Path) -> None:
    split = counts(chain / "split")
    parts = {
        part: len(ids(chain / "split" / part / "data.parquet"))
        for part in ("high", "low", "unrated")
    }
    assert counts(chain / "deduped")["kept"] == counts(chain / "rated")["input"]
    assert counts(chain / "rated")["kept"] == split["input"] == sum(parts.values())
    assert counts(chain / "clusters")["input"] == parts["low"]
    assert counts(chain / "selected")["input"] == parts["high"]
    assert counts(chain / "selected")["kept"] == NUM_SELECTED
    assert min(parts["high"], parts["low"]) > 100
    lines = (chain / "selected" / "trl" / "train.jsonl").read_text().splitlines()
    assert len(lines) == NUM_SELECTED


def test_ratings_tell_good_answers_from_bad(chain: Path) -> None:
    rated = pq.read_table(chain / "rated" / "data.parquet").to_pylist()
    high = [row for row in rated if (row["rating"] or 0) >= 4]
    one_word = [row for row in rated if row["output"] and " " not in row["output"].strip()]
    assert all(row["rating"] <= 2 for row in one_word if row["output"].isascii())
    assert min(len(row["output"].encode()) for row in high) > 40
    selected = pq.read_table(chain / "selected" / "data.parquet").to_pylist()
    assert {row["rating"] for row in selected} <= {4, 5}
    assert max(row["rating"] for row in selected) == max(row["rating"] for row in high)


@pytest.mark.parametrize(
    ("last", "stages"),
    [("selected", ["dedup", "rate", "split", "select"]),
     ("clusters", ["dedup", "rate", "split", "cluster"])],
)  # fmt: skip
def test_explain_tells_a_records_way(chain: Path, last: str, stages: list[str]) -> None:
    record_id = min(ids(chain / last / "data.parquet"))
    story = json.loads(lmmixup("explain", record_id, chain / last, "--json"))
    assert [(part["stage"], part["outcome"]) for part in story] == [
        (stage, "kept") for stage in stages
    ]
    rated = story[1]["facts"]
    assert story[2]["facts"]["pool"] == ("high" if last == "selected" else "low")
    assert (rated["rating"] >= 4) == (last == "selected")
    assert len(rated["neighbours"]) == 16
    library = {row["id"]: row["rating"] for row in pq.read_table(
        chain / "library" / "data.parquet", columns=["id", "rating"]).to_pylist()}  # fmt: skip
    assert all(library[one["id"]] == one["rating"] for one in rated["neighbours"])
