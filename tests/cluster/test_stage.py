"""`lmmixup cluster` from a pool to its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmmixup.cluster import ClusterConfig, run
from lmmixup.errors import DataError
from lmmixup.pool import open_pool

if TYPE_CHECKING:
    from pathlib import Path

TOPICS = ["rivers of Europe", "sorting in Python", "baking bread", "the phases of the moon"]


@pytest.fixture
def pool_table() -> pa.Table:
    rows = [
        {
            "instruction": f"Explain {topic}, version {version}.",
            "output": f"About {topic}: " + f"{topic} matters because of {topic}. " * (version + 1),
            "size": 10 * (version + 1),
        }
        for version in range(6)
        for topic in TOPICS
    ]
    return pa.Table.from_pylist(rows)


def test_every_record_has_one_outcome(pool_table: pa.Table, tmp_path: Path) -> None:
    config = ClusterConfig(min=2, max=5, mean=3, max_cluster_tokens=55, token_column="size")
    result = run(open_pool(pool_table), config, output=tmp_path / "out")
    counts = result.counts
    data = pq.read_table(tmp_path / "out" / "data.parquet")
    leftover = pq.read_table(tmp_path / "out" / "leftover.parquet")
    dropped = pq.read_table(tmp_path / "out" / "dropped.parquet")
    assert counts["input"] == 24 == data.num_rows + leftover.num_rows + dropped.num_rows
    assert counts["dropped"] == {"too-long": 4}
    assert set(dropped["detail"].to_pylist()) == {"has more than 55 tokens by itself"}
    ids = [i for table in (data, leftover, dropped) for i in table["id"].to_pylist()]
    assert len(set(ids)) == 24
    sums = np.bincount(data["cluster"].to_numpy(), weights=data["size"].to_numpy())
    assert sums.max() <= 55


def test_files_agree_with_each_other(pool_table: pa.Table, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(open_pool(pool_table), ClusterConfig(min=2, max=6, mean=4), output=out)
    data = pq.read_table(out / "data.parquet")
    clusters = pq.read_table(out / "clusters.parquet")
    assert data.num_rows == 24
    assert result.figures["clusters"] == clusters.num_rows == 6
    labels, similarity = data["cluster"].to_numpy(), data["similarity"].to_numpy()
    assert (np.diff(labels) >= 0).all()
    assert all((np.diff(similarity[labels == label]) <= 0).all() for label in range(6))
    by_cluster = [data["id"].to_numpy()[labels == label].tolist() for label in range(6)]
    assert clusters["ids"].to_pylist() == by_cluster
    assert clusters["size"].to_pylist() == [len(ids) for ids in by_cluster]
    tenths = [np.quantile(similarity[labels == label], 0.1) for label in range(6)]
    np.testing.assert_allclose(clusters["similarity_p10"].to_numpy(), tenths, rtol=1e-6)
    for name in ("sizes.png", "similarity.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
        assert name in result.manifest["outputs"]


def test_same_bytes_at_any_number_of_threads(pool_table: pa.Table, tmp_path: Path) -> None:
    outputs = []
    for num_threads in (1, 2, 7):
        output = tmp_path / str(num_threads)
        config = ClusterConfig(min=2, max=5, mean=3)
        result = run(open_pool(pool_table), config, output=output, num_threads=num_threads)
        outputs.append(result.manifest["outputs"])
    assert outputs[0] == outputs[1] == outputs[2]


def test_a_token_column_must_be_there(pool_table: pa.Table, tmp_path: Path) -> None:
    for column, message in (("missing", "has no column"), ("output", "whole number of tokens")):
        config = ClusterConfig(min=2, max=5, mean=3, max_cluster_tokens=55, token_column=column)
        with pytest.raises(DataError, match=message):
            run(open_pool(pool_table), config, output=tmp_path / column)
        assert not (tmp_path / column).exists()
