"""The whole path on the example pool, run once, and how its files are read."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from pathlib import Path

EACH_SIDE = 10
"""Records that the selection takes of the distilled and of the original ones."""


def lmmixup(*args: str | Path) -> str:
    """What a command prints; it must succeed."""
    command = [sys.executable, "-m", "lmmixup", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ids(file: Path) -> set[str]:
    """The ids of a file's records, each there once; none where there is no file."""
    column = pq.read_table(file, columns=["id"]).column("id").to_pylist() if file.exists() else []
    assert len(column) == len(set(column))
    return set(column)


def counts(folder: Path) -> dict[str, Any]:
    """Outcomes of a stage's input."""
    return dict(json.loads((folder / "manifest.json").read_text())["counts"])


@pytest.fixture(scope="package")
def chain(tmp_path_factory: pytest.TempPathFactory, example_pool: Path) -> Path:
    """A folder with the result folder of every stage, each on the one before."""
    out = tmp_path_factory.mktemp("whole")
    rated = example_pool.with_name("rated.jsonl")
    lmmixup("library", "build", rated, "-o", out / "library", "-q")
    lmmixup("dedup", example_pool, "-o", out / "deduped", "-q")
    lmmixup("rate", out / "deduped", "-o", out / "rated", "--knn-bayes", out / "library", "-q")
    lmmixup("split", out / "rated", "-o", out / "split", "--at", "4", "-q")
    lmmixup("cluster", out / "split" / "low", "-o", out / "clusters", "--min", "2", "--max", "5",
            "--mean", "3", "-q")  # fmt: skip
    lmmixup("distill", out / "clusters", "-o", out / "distilled", "-q")
    lmmixup("rate", out / "distilled", "-o", out / "rerated", "--knn-bayes", out / "library", "-q")
    lmmixup("select", "--distilled", out / "rerated", "--original", out / "split" / "high",
            "-o", out / "selected", "--num", str(2 * EACH_SIDE), "--layout", "trl",
            "-q")  # fmt: skip
    return out
