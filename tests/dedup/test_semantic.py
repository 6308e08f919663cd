"""The stage by vectors: outcomes, the manifest, another pool, growing, what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lmmixup.cli import cli
from lmmixup.dedup import DedupConfig, families, run
from lmmixup.errors import ArgumentError, DataError
from lmmixup.pool import open_pool

if TYPE_CHECKING:
    from pathlib import Path

VECTORS = {"a": [1.0, 0.0], "b": [2.0, 0.2], "c": [0.0, 1.0], "d": [1.0, 0.05], "e": [0.0, 0.0]}
TEXTS = {"a": "one", "b": "two and more", "c": "three", "d": "four", "e": ""}


def write(path: Path, names: str = "abcde", start: str = "") -> Path:
    with path.open("w", encoding="utf-8") as file:
        for name in names:
            row = {"id": start + name, "prompt": TEXTS[name], "completion": "x" * (name != "e")}
            file.write(json.dumps(row | {"vector": VECTORS[name]}) + "\n")
    return path


def rows(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in pq.read_table(folder / name).to_pylist()}


def dedup(source: Path, output: Path, **options: Any) -> dict[str, Any]:
    options = {"method": "semantic", "vector_column": "vector"} | options
    return run(open_pool([source]), DedupConfig(**options), output=output, num_threads=2).manifest


def test_what_is_alike_goes_whatever_the_words_are(tmp_path: Path) -> None:
    manifest = dedup(write(tmp_path / "pool.jsonl"), tmp_path / "out")
    # The longest text stays.
    assert set(rows(tmp_path / "out", "data.parquet")) == {"b", "c", "e"}
    dropped = rows(tmp_path / "out", "dropped.parquet")
    assert {name: row["against"] for name, row in dropped.items()} == {"a": "b", "d": "b"}
    assert dropped["a"]["reason"] == "near-duplicate"
    assert dropped["a"]["detail"] == f"similarity {2 / np.hypot(2, 0.2):.4f}"
    assert rows(tmp_path / "out", "families.parquet")["a"]["similarity"] == pytest.approx(
        2 / np.hypot(2, 0.2), abs=1e-7
    )
    assert manifest["config"]["threshold"] == 0.95
    figures = manifest["figures"]
    assert figures["identity"] == {"embedder": "column", "name": "vector", "dim": 2}
    assert (figures["search"], figures["records_without_text"]) == ("exact", 1)
    assert figures["largest_family"] == 3


def test_rules_apply(tmp_path: Path) -> None:
    pool = open_pool([write(tmp_path / "pool.jsonl")])

    def keeps(**options: Any) -> list[int]:
        config = DedupConfig(method="semantic", vector_column="vector", **options)
        return np.flatnonzero(families(pool, config).kept).tolist()

    assert keeps(prefer="first") == [0, 2, 4]
    assert keeps(prefer="first", threshold=0.997) == [0, 1, 2, 4]
    assert keeps(prefer="first", threshold=0.996, keep="one") == [0, 2, 4]


def test_same_bytes_at_any_number_of_threads(tmp_path: Path, example_pool: Path) -> None:
    config = DedupConfig(method="semantic", threshold=0.8)
    for threads in (1, 2, 7):
        output = tmp_path / str(threads)
        result = run(open_pool([example_pool]), config, output=output, num_threads=threads)
    assert result.counts["dropped"]["near-duplicate"] > 5
    assert result.figures["identity"]["embedder"] == "lexical"
    for path in sorted((tmp_path / "1").iterdir()):
        for threads in (2, 7):
            assert (tmp_path / str(threads) / path.name).read_bytes() == path.read_bytes()


def test_what_is_in_another_pool_goes(tmp_path: Path) -> None:
    pool = write(tmp_path / "pool.jsonl")
    other = write(tmp_path / "test.jsonl", "dec", start="q")
    manifest = dedup(pool, tmp_path / "out", against=other)
    # What has no text is in nothing.
    assert set(rows(tmp_path / "out", "data.parquet")) == {"e"}
    dropped = rows(tmp_path / "out", "dropped.parquet")
    assert {name: row["against"] for name, row in dropped.items()} == {
        "a": "qd",
        "b": "qd",
        "c": "qc",
        "d": "qd",
    }
    assert dropped["c"]["detail"] == "cosine 1.0000"
    found = rows(tmp_path / "out", "against.parquet")
    assert {name: row["nearest"] for name, row in found.items()} == {
        "qd": "d",
        "qe": None,
        "qc": "c",
    }
    assert (found["qd"]["found"], found["qd"]["cosine"], found["qe"]["cosine"]) == (True, 1.0, 0.0)
    assert manifest["figures"]["other_found"] == 2
    assert manifest["figures"]["identity"]["embedder"] == "column"


def test_two_pools_are_embedded_as_one(tmp_path: Path, example_pool: Path) -> None:
    lines = example_pool.read_text(encoding="utf-8").splitlines(keepends=True)
    other = tmp_path / "other.jsonl"
    other.write_text("".join(lines[:20]), encoding="utf-8")
    config = DedupConfig(method="semantic", against=other)
    result = run(open_pool([example_pool]), config, output=tmp_path / "out")
    assert result.figures["other_found"] == 20
    assert result.counts["dropped"]["in the other pool"] >= 20


def test_a_deduped_pool_grows(tmp_path: Path) -> None:
    dedup(write(tmp_path / "pool.jsonl", "abc"), tmp_path / "out")
    pool = write(tmp_path / "new.jsonl", "dce", start="n")
    manifest = dedup(pool, tmp_path / "grown", update=tmp_path / "out")
    assert manifest["counts"]["input"] == 5
    kept = rows(tmp_path / "grown", "data.parquet")
    assert set(kept) == {"b", "c", "ne"}
    assert (kept["b"]["family_size"], kept["c"]["family_size"]) == (3, 2)
    with pytest.raises(ArgumentError, match="the earlier run had vector_column = 'vector'"):
        dedup(pool, tmp_path / "other", update=tmp_path / "out", vector_column=None)


def test_vectors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    pool = write(tmp_path / "pool.jsonl")
    np.save(tmp_path / "v.npy", np.full((5, 3), np.nan, np.float32))
    options: dict[str, Any] = {"vector_column": None, "vectors": tmp_path / "v.npy"}
    with pytest.raises(DataError, match="row 0 has NaN or infinity"):
        dedup(pool, tmp_path / "out", **options)
    np.save(tmp_path / "v.npy", np.ones((4, 3), np.float32))
    with pytest.raises(DataError, match="expected 5 vectors, one a record, got 4"):
        dedup(pool, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedder": "wordllama"}, "embedder has no effect with method join; pass --semantic"),
        ({"method": "exact", "search": "blocks"}, "search has no effect with method exact"),
        ({"method": "semantic", "shingle_size": 3}, "shingle_size has no effect with method sem"),
        ({"method": "semantic", "min_containment": 0.5}, "it compares vectors"),
        ({"method": "semantic", "embedder": "magic"}, "unknown embedder 'magic'"),
        ({"method": "semantic", "vectors": "v.npy", "against": "x"}, "vectors are those of one"),
    ],
)
def test_what_does_not_combine_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DedupConfig(**options)


def test_the_flag_is_the_method(tmp_path: Path) -> None:
    pool = str(write(tmp_path / "pool.jsonl"))

    def method(*args: str) -> str:
        command = ["dedup", pool, "-o", str(tmp_path / "out"), "--overwrite", "--json", *args]
        result = CliRunner().invoke(cli, command)
        assert result.exit_code == 0, result.output
        config = json.loads(result.stdout)["config"]
        return f"{config['method']} {config['threshold']}"

    assert method() == "join 0.7"
    assert method("--semantic") == "semantic 0.95"
    assert method("--method", "semantic", "--threshold", "0.8") == "semantic 0.8"
    assert method("--method", "minhash") == "minhash 0.7"
