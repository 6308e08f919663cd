"""The whole path through the command line on the example pool: nothing lost, nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
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
    lmmixup("distill", out / "clusters", "-o", out / "distilled", "--quiet")
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
    assert ["prompt" in part["facts"] for part in winner] == [True, False, False]  # told once


def test_explain_of_an_unknown_id_says_where_it_looked(chain: Path) -> None:
    done = subprocess.run(
        [*LMMIXUP, "explain", "nobody", str(chain / "clusters")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no record with id 'nobody'" in done.stderr
    assert "deduped" in done.stderr


def test_every_clustered_record_is_used_once_or_leftover(chain: Path) -> None:
    made = pq.read_table(chain / "distilled" / "data.parquet")
    used = [source for row in made.column("sources").to_pylist() for source in row]
    left = ids(chain / "distilled", "leftover")
    assert sorted([*used, *left]) == sorted(ids(chain / "clusters", "data"))
    done = counts(chain / "distilled")
    assert (done["input"], done["made"]) == (counts(chain / "clusters")["kept"], made.num_rows)
    assert (done["used"], done["leftover"]) == (len(used), len(left))
    assert made.num_rows > 100
    assert all(text.strip() for text in made.column("completion").to_pylist())


def test_explain_tells_what_became_of_a_source_and_what_a_record_is_made_of(chain: Path) -> None:
    made = pq.read_table(chain / "distilled" / "data.parquet").to_pylist()[0]
    story = json.loads(lmmixup("explain", made["id"], chain / "distilled", "--json"))
    assert [part["outcome"] for part in story] == ["absent", "absent", "absent", "made"]
    assert story[3]["links"]["made of"] == made["sources"]
    source = json.loads(lmmixup("explain", made["sources"][0], chain / "distilled", "--json"))
    assert [part["outcome"] for part in source] == ["kept", "kept", "kept", "used"]
    assert source[3]["links"]["went into"] == [made["id"]]


def test_later_stages_carry_made_records_on(chain: Path, tmp_path: Path) -> None:
    lmmixup("select", chain / "distilled", "-o", tmp_path / "selected", "--num", "20",
            "--strategy", "longest", "--quiet")  # fmt: skip
    chosen = pq.read_table(tmp_path / "selected" / "data.parquet").to_pylist()[0]
    story = json.loads(lmmixup("explain", chosen["id"], tmp_path / "selected", "--json"))
    assert [part["outcome"] for part in story[-2:]] == ["made", "kept"]
    source = json.loads(lmmixup("explain", chosen["sources"][0], tmp_path / "selected", "--json"))
    assert [part["outcome"] for part in source[-2:]] == ["used", "absent"]


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
        lmmixup("distill", chain / "clusters", "-o", out / "distilled", *options)
    for path in sorted((tmp_path / "1").rglob("*")):
        if path.is_file():
            for threads in ("2", "7"):
                other = tmp_path / threads / path.relative_to(tmp_path / "1")
                assert path.read_bytes() == other.read_bytes(), other
