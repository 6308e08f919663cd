"""From a rated pool to training files through the command line, each stage on the one before."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from pathlib import Path


def lmmixup(*args: str | Path) -> None:
    command = [sys.executable, "-m", "lmmixup", *map(str, args), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 topics with 8 records each; a topic has one true rating, every tenth rating is wrong."""
    rng = np.random.default_rng(5)
    topics = np.repeat(np.arange(60), 8)
    ratings = (topics % 6).tolist()
    for row in range(0, 480, 10):
        ratings[row] = int((ratings[row] + rng.integers(1, 6)) % 6)
    rows = [
        {
            "id": f"r{row}",
            "instruction": f"Say something of topic{topic} and of matter{topic}, number {row}.",
            "output": f"topic{topic} is a matter{topic} of its own kind{topic}. " * 3,
            "rating": None if row % 37 == 0 else ratings[row],
        }
        for row, topic in enumerate(topics.tolist())
    ]
    path = tmp_path_factory.mktemp("quality") / "rated.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_nothing_is_lost_from_ratings_to_training_files(rated: Path, tmp_path: Path) -> None:
    lmmixup("curate", rated, "-o", tmp_path / "curated", "--neighbours", "5")
    lmmixup("split", tmp_path / "curated", "-o", tmp_path / "split", "--at", "4")
    lmmixup("cluster", tmp_path / "split" / "low", "-o", tmp_path / "clusters", "--min", "2",
            "--max", "5", "--mean", "3", "--allow-leftover")  # fmt: skip
    lmmixup("select", tmp_path / "split" / "low", "-o", tmp_path / "train", "--distilled",
            tmp_path / "split" / "high", "--num", "100", "--ratio", "3:7",
            "--layout", "trl")  # fmt: skip
    parts = [tmp_path / "split" / part for part in ("high", "low", "unrated")]
    sizes = [pq.read_metadata(part / "data.parquet").num_rows for part in parts]
    assert sum(sizes) == 480
    assert sizes[2] == 13
    counts = json.loads((tmp_path / "clusters" / "manifest.json").read_text())["counts"]
    assert counts["input"] == sizes[1]
    counts = json.loads((tmp_path / "train" / "manifest.json").read_text())["counts"]
    assert (counts["input"], counts["kept"]) == (sizes[0] + sizes[1], 100)
    lines = (tmp_path / "train" / "trl" / "train.jsonl").read_text().splitlines()
    assert all(json.loads(line)["completion"][0]["content"] for line in lines)
    assert len(lines) == 100
    curated = pq.read_table(tmp_path / "curated" / "data.parquet")
    assert sum(curated["curated"].to_pylist()) > 10
