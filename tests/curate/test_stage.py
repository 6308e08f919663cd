"""`lmmixup curate` from a pool to its files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from tests.curate.conftest import plant

from lmmixup.cli import cli
from lmmixup.curate import CurateConfig, run
from lmmixup.errors import ArgumentError, DataError
from lmmixup.pool import export, open_pool

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Groups = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


@pytest.fixture(scope="module")
def rated(drawn_groups: Groups) -> pa.Table:
    """Records with vectors and ratings; every tenth is unrated."""
    planted = plant(*drawn_groups, "uniform")
    rows = np.arange(len(planted.true))
    return pa.table(
        {
            "id": [f"r{row}" for row in rows],
            "prompt": [f"question {row}" for row in rows],
            "completion": [f"answer {row}" for row in rows],
            "rating": pa.array(planted.observed, mask=rows % 10 == 0),
            "other": pa.array(planted.true),
            "vector": list(planted.vectors),
        }
    )


CONFIG = CurateConfig(vector_column="vector", judges=("rating", "other"))


@pytest.fixture(scope="module")
def curated(rated: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("curate") / "out"
    run(open_pool(rated), CONFIG, output=out)
    return out


def test_every_record_is_kept_and_unrated_stays_unrated(curated: Path, rated: pa.Table) -> None:
    data = pq.read_table(curated / "data.parquet")
    assert data["id"].to_pylist() == rated["id"].to_pylist()
    assert data["rating_observed"].to_pylist() == rated["rating"].to_pylist()
    assert data["rating"].type == pa.int64()
    assert data["rating"].null_count == data["rating_confidence"].null_count == 480
    changed = [
        (after is not None and after != before)
        for after, before in zip(
            data["rating"].to_pylist(), data["rating_observed"].to_pylist(), strict=True
        )
    ]
    assert data["curated"].to_pylist() == changed
    assert sum(changed) > 500


def test_the_manifest_says_how_the_judge_errs(curated: Path) -> None:
    manifest = json.loads((curated / "manifest.json").read_text())
    figures = manifest["figures"]
    assert manifest["counts"]["kept"] == manifest["counts"]["input"] == 4800
    assert figures["unrated"] == 480
    assert figures["ratings"] == [0, 1, 2, 3, 4, 5]
    before, after = (np.array(figures[f"transitions_{when}"]) for when in ("before", "after"))
    assert np.allclose(before.sum(axis=1), 1, atol=1e-3)
    assert 0.7 < np.diag(before).min() < 0.9 < np.diag(after).min()
    [pair] = figures["judges"]
    assert pair["judges"] == ["rating", "other"]
    assert pair["num_records"] == 4320
    assert (curated / "transitions.png").read_bytes().startswith(b"\x89PNG")


def test_same_bytes_at_any_number_of_threads(
    rated: pa.Table, curated: Path, tmp_path: Path
) -> None:
    run(open_pool(rated), CONFIG, output=tmp_path / "out", num_threads=1)
    for path in curated.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_curated_pool_is_curated_again(curated: Path, tmp_path: Path) -> None:
    run(open_pool(curated), CONFIG, output=tmp_path / "again")
    data = pq.read_table(tmp_path / "again" / "data.parquet")
    first = pq.read_table(curated / "data.parquet")
    assert data.column_names.count("curated") == 1
    assert data["rating_observed"].to_pylist() == first["rating"].to_pylist()


def test_ratings_that_came_in_are_exported_as_they_came(rated: pa.Table, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    run(open_pool(rated), CONFIG, output=first)
    run(open_pool(first), CONFIG, output=again)
    data = pq.read_table(again / "data.parquet")
    assert data["original_rating"].to_pylist() == rated["rating"].to_pylist()
    assert data["rating"].to_pylist() != rated["rating"].to_pylist()
    export(open_pool(again), tmp_path / "back.parquet")
    back = pq.read_table(tmp_path / "back.parquet")
    assert back.column_names == rated.column_names
    assert back["rating"].to_pylist() == rated["rating"].to_pylist()


def test_columns_must_be_there_and_hold_numbers(rated: pa.Table, tmp_path: Path) -> None:
    pool = open_pool(rated)
    for options, message in (
        ({"rating": "stars"}, "--rating: expected one of the columns .* got 'stars'"),
        ({"rating": "prompt"}, "column 'prompt' must hold numbers, got string"),
        ({"judges": ("rating", "nobody")}, "--judges: .* got 'nobody'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            run(pool, CurateConfig(vector_column="vector", **options), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_vector_that_is_no_number_is_named(rated: pa.Table, tmp_path: Path) -> None:
    vectors = rated["vector"].to_pylist()
    vectors[3] = [float("nan")] * 32
    at = rated.column_names.index("vector")
    broken = rated.set_column(at, "vector", pa.array(vectors))
    with pytest.raises(DataError, match="row 3 has NaN or infinity"):
        run(open_pool(broken), CONFIG, output=tmp_path / "out")


def test_the_command_says_what_it_did(rated: pa.Table, tmp_path: Path) -> None:
    pq.write_table(rated, tmp_path / "rated.parquet")
    args = ["curate", str(tmp_path / "rated.parquet"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(
        cli, [*args, "--vector-column", "vector", "--judges", "rating,other"]
    )
    assert result.exit_code == 0, result.output
    assert "agreeing by chance" in result.output
    assert "rating and other on 4,320 records: exact 0.8" in result.output
