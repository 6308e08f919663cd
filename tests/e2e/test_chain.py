"""The whole path through the command line on the example pool: nothing lost, nothing twice."""

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

if TYPE_CHECKING:
    from pathlib import Path

LMMIXUP = [sys.executable, "-m", "lmmixup"]


def lmmixup(*args: str | Path, status: int = 0) -> str:
    done = subprocess.run([*LMMIXUP, *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


def ids(folder: Path, name: str) -> list[str]:
    path = folder / f"{name}.parquet"
    return pq.read_table(path, columns=["id"]).column("id").to_pylist() if path.exists() else []


def counts(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text())["counts"])


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, example_pool: Path) -> Path:
    out = tmp_path_factory.mktemp("chain")
    lmmixup("pool", "import", example_pool, "-o", out / "pool", "--quiet")
    lmmixup("dedup", out / "pool", "-o", out / "deduped", "--quiet")
    lmmixup("cluster", out / "deduped", "-o", out / "clusters", "--min", "2", "--max", "5",
            "--mean", "3", "--std", "1", "--quiet")  # fmt: skip
    return out


def test_every_record_has_one_outcome(chain: Path, example_pool: Path) -> None:
    incoming = len(example_pool.read_text(encoding="utf-8").splitlines())
    for stage in ("pool", "deduped", "clusters"):
        stage_counts = counts(chain / stage)
        assert stage_counts["input"] == incoming
        outcomes = [*ids(chain / stage, "data"), *ids(chain / stage, "leftover"),
                    *ids(chain / stage, "dropped")]  # fmt: skip
        assert len(outcomes) == len(set(outcomes)) == incoming
        incoming = stage_counts["kept"]
    assert incoming > 300


def test_dropped_records_name_a_kept_one(chain: Path) -> None:
    dropped = pq.read_table(chain / "deduped" / "dropped.parquet").to_pylist()
    assert len(dropped) > 20
    kept = set(ids(chain / "deduped", "data"))
    assert {row["against"] for row in dropped} <= kept


def test_clusters_keep_their_bounds(chain: Path) -> None:
    clusters = pq.read_table(chain / "clusters" / "data.parquet", columns=["cluster"])
    sizes = clusters.group_by("cluster").aggregate([("cluster", "count")])
    assert {2, 3, 4, 5} >= set(sizes.column("cluster_count").to_pylist())


def test_explain_tells_both_directions(chain: Path) -> None:
    loser = pq.read_table(chain / "deduped" / "dropped.parquet").to_pylist()[0]
    story = json.loads(lmmixup("explain", loser["id"], chain / "clusters", "--json"))
    assert [(part["stage"], part["outcome"]) for part in story] == [
        ("pool", "kept"),
        ("dedup", "dropped"),
        ("cluster", "absent"),
    ]
    assert story[1]["facts"]["against"] == loser["against"]
    winner = json.loads(lmmixup("explain", loser["against"], chain / "clusters", "--json"))
    assert loser["id"] in winner[1]["links"]["dropped in its favour"]
    assert winner[2]["links"]["in the same cluster"]


def test_explain_of_an_unknown_id_says_where_it_looked(chain: Path) -> None:
    done = subprocess.run(
        [*LMMIXUP, "explain", "nobody", str(chain / "clusters")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no record with id 'nobody'" in done.stderr
    assert "deduped" in done.stderr


def test_export_gives_the_original_back(chain: Path, example_pool: Path) -> None:
    exported = lmmixup("pool", "export", chain / "pool", "-o", "-").splitlines()
    original = example_pool.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in exported] == [json.loads(line) for line in original]


def test_same_bytes_at_any_number_of_threads(chain: Path, tmp_path: Path) -> None:
    for threads in ("1", "2", "7"):
        out = tmp_path / threads
        options = ["--num-threads", threads, "--quiet"]
        lmmixup("dedup", chain / "pool", "-o", out / "deduped", *options)
        lmmixup("cluster", chain / "deduped", "-o", out / "clusters", *options)
    for path in sorted((tmp_path / "1").rglob("*")):
        if path.is_file():
            for threads in ("2", "7"):
                other = tmp_path / threads / path.relative_to(tmp_path / "1")
                assert path.read_bytes() == other.read_bytes(), other


@pytest.fixture(scope="module")
def large_pool(tmp_path_factory: pytest.TempPathFactory, example_pool: Path) -> Path:
    """Some 40,000 distinct records: the example's, each with a number of its own in front."""
    path = tmp_path_factory.mktemp("large") / "pool.jsonl"
    rows = [json.loads(line) for line in example_pool.read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as file:
        for copy in range(80):
            for index, row in enumerate(rows):
                text = f"{copy * 7919 + index} {copy}{index} {row['instruction']} {copy % 13}"
                changed = {**row, "id": f"{copy}/{index}", "instruction": text}
                file.write(json.dumps(changed, ensure_ascii=False) + "\n")
    return path


def start(pool: Path, output: Path) -> subprocess.Popen[str]:
    command = [*LMMIXUP, "cluster", str(pool), "-o", str(output), "--num-threads", "1"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [1.0, 2.5])
def test_ctrl_c_is_felt_within_a_second(large_pool: Path, tmp_path: Path, delay_s: float) -> None:
    process = start(large_pool, tmp_path / "out")
    time.sleep(delay_s)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert time.monotonic() - sent < 2  # one second, and the interpreter's own way out
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(large_pool: Path, tmp_path: Path) -> None:
    process = start(large_pool, tmp_path / "killed")
    time.sleep(2.5)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed").exists()
    for name in ("killed", "whole"):
        done = start(large_pool, tmp_path / name)
        _, errors = done.communicate()
        assert done.returncode == 0, errors
    names = sorted(os.listdir(tmp_path / "whole"))
    assert names == sorted(os.listdir(tmp_path / "killed"))
    for name in names:
        same = (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        assert same, name
