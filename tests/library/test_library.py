"""`lmmixup library` from rated records to a scorer on disk and its report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lmmixup.cli import cli
from lmmixup.errors import DataError, FileError
from lmmixup.library import LibraryConfig, open_libraries, open_library, report, run
from lmmixup.library.metrics import confusion, quadratic_kappa
from lmmixup.library.store import library_texts, text_bytes
from lmmixup.pool import open_pool

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.stage import StageResult


def build(table: pa.Table, output: Path, **options: Any) -> StageResult:
    num_threads = options.pop("num_threads", 0)
    config = LibraryConfig(**{"dim": 128, **options})
    return run(open_pool(table), config, output=output, num_threads=num_threads)


@pytest.mark.parametrize("scorer", ["residual", "paper"])
def test_a_library_rates_its_own_records(scorer: str, rated: pa.Table, tmp_path: Path) -> None:
    result = build(rated, tmp_path / "lib", scorer=scorer)
    assert result.counts["kept"] == 300
    found = report(open_library(tmp_path / "lib"), folder=tmp_path / "report")
    assert found.num_records == 300
    assert found.qwk > 0.8
    assert found.spearman > 0.8
    assert sum(row.num_records for row in found.classes) == 300
    assert json.loads((tmp_path / "report" / "report.json").read_text())["qwk"] == found.qwk
    for name in ("reliability.png", "confusion.png"):
        assert (tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("scorer", ["residual", "paper"])
def test_an_opened_library_rates_new_records(
    scorer: str, rated: pa.Table, others: pa.Table, tmp_path: Path
) -> None:
    build(rated, tmp_path / "lib", scorer=scorer)
    library = open_library(tmp_path / "lib")
    vectors = library.embedder.embed(library_texts(others, library.config))
    num_bytes = text_bytes(others, library.config)
    scores = library.score(vectors, num_bytes)
    truth = others["rating"].to_numpy()
    assert quadratic_kappa(confusion(truth, scores.rating_Q, 6)) > 0.8
    assert scores.posterior_QC.sum(axis=1) == pytest.approx(np.ones(80))
    assert scores.p_ge_4_Q[truth >= 4].mean() > 0.7
    assert scores.p_ge_4_Q[truth < 4].mean() < 0.2
    assert (scores.entropy_Q >= 0).all()
    assert (scores.entropy_Q <= np.log(6) + 1e-9).all()
    again = open_library(tmp_path / "lib").score(vectors, num_bytes)
    np.testing.assert_array_equal(scores.posterior_QC, again.posterior_QC)


@pytest.mark.parametrize("scorer", ["residual", "paper"])
def test_same_bytes_at_any_number_of_threads(scorer: str, rated: pa.Table, tmp_path: Path) -> None:
    made = [
        build(rated, tmp_path / str(n), scorer=scorer, num_threads=n).manifest for n in (1, 2, 7)
    ]
    assert made[0] == made[1] == made[2]


def test_unrated_other_and_empty_records_are_dropped_and_counted(
    rated: pa.Table, tmp_path: Path
) -> None:
    rows = rated.to_pylist()
    rows[0]["rating"] = None
    rows[2] |= {"prompt": " ", "completion": ""}
    result = build(pa.Table.from_pylist(rows), tmp_path / "qa", task_type="qa")
    assert result.counts["dropped"] == {"no-text": 1, "other-task-type": 150, "unrated": 1}
    assert result.counts["kept"] == 148
    assert pq.read_table(tmp_path / "qa" / "dropped.parquet").num_rows == 152
    assert list(open_libraries(tmp_path).by_task_type) == ["qa"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns("rating"), "no column 'rating' with ratings"),
        (lambda t: set_ratings(t, [7] * 300), "expected whole ratings 0 to 5, got 7 for record"),
        (lambda t: set_ratings(t, [2.5] * 300), "got 2.5 for record 'r0-0'"),
        (lambda t: set_ratings(t, [-1] + [2] * 299), "got -1 for record"),
        (lambda t: set_ratings(t, ["good"] * 300), "expected ratings 0 to 5, got string"),
        (lambda t: set_ratings(t, [3] * 300), "all 300 records are rated 3"),
        (lambda t: t.slice(0, 16), "more rated records than neighbours, got 16 for 16"),
        (
            lambda t: set_ratings(t, [None] * 300, pa.string()),
            "more rated records than neighbours, got 0 for 16",
        ),
        (
            lambda t: set_ratings(t, [None] * 300),
            "more rated records than neighbours, got 0 for 16",
        ),
    ],
)
def test_bad_input_is_one_clear_line(
    change: Any, message: str, rated: pa.Table, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        build(change(rated), tmp_path / "lib")
    assert not (tmp_path / "lib").exists()


def set_ratings(table: pa.Table, ratings: list[Any], kind: pa.DataType | None = None) -> pa.Table:
    if kind is None and not any(rating is not None for rating in ratings):
        kind = pa.int64()
    at = table.schema.get_field_index("rating")
    return table.set_column(at, "rating", pa.array(ratings, kind))


def test_given_vectors_make_no_library() -> None:
    with pytest.raises(ValueError, match="must embed records that it has not seen"):
        LibraryConfig(embedder="npy:vectors.npy")


def test_another_origin_of_vectors_is_refused(rated: pa.Table, tmp_path: Path) -> None:
    build(rated, tmp_path / "lib")
    library = open_library(tmp_path / "lib")
    with pytest.raises(DataError, match="expected vectors of 128 dimensions"):
        library.score(np.zeros((1, 64), np.float32), np.zeros((1, 2), np.int64))
    with pytest.raises(DataError, match="expected embedder 'lexical', got 'st'"):
        library.check_identity({**library.identity, "embedder": "st"})
    data = pq.read_table(tmp_path / "lib" / "data.parquet").to_pylist()
    data[0]["completion"] += " another word"
    pq.write_table(pa.Table.from_pylist(data), tmp_path / "lib" / "data.parquet")
    with pytest.raises(DataError, match="made as the library's were"):
        _ = open_library(tmp_path / "lib").embedder


@pytest.mark.parametrize(
    ("name", "value"), [("norm", "none"), ("metric", "l2"), ("library_format", 1)]
)
def test_another_norm_metric_or_format_is_refused(
    name: str, value: Any, rated: pa.Table, tmp_path: Path
) -> None:
    build(rated, tmp_path / "lib")
    path = tmp_path / "lib" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["figures"][name] = value
    path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=f"expected {name}"):
        open_library(tmp_path / "lib")


def test_vectors_with_nan_or_another_dimension_are_refused(rated: pa.Table, tmp_path: Path) -> None:
    build(rated, tmp_path / "lib")
    path = tmp_path / "lib" / "vectors.npy"
    vectors = np.load(path)
    broken = vectors.copy()
    broken[7, 3] = np.nan
    np.save(path, broken)
    with pytest.raises(DataError, match="row 7 has NaN"):
        open_library(tmp_path / "lib")
    np.save(path, vectors[:, :64])
    with pytest.raises(DataError, match="64 dimensions, but the manifest says 128"):
        open_library(tmp_path / "lib")


def test_what_is_no_library_is_said(rated: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="lmmixup library build"):
        open_libraries(tmp_path)
    with pytest.raises(FileError, match="expected a library"):
        open_library(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["head.npy", "residuals.npy", "vectors.npy", "data.parquet"])
def test_a_library_that_lacks_a_file_is_one_clear_line(
    rated: pa.Table, tmp_path: Path, name: str
) -> None:
    build(rated, tmp_path / "lib")
    (tmp_path / "lib" / name).unlink()
    with pytest.raises(FileError, match=name):
        open_library(tmp_path / "lib")


def test_vectors_of_other_records_are_refused(rated: pa.Table, tmp_path: Path) -> None:
    build(rated, tmp_path / "lib")
    vectors = np.load(tmp_path / "lib" / "vectors.npy")
    np.save(tmp_path / "lib" / "vectors.npy", vectors[:-1])
    with pytest.raises(DataError, match=r"vectors\.npy"):
        open_library(tmp_path / "lib")


def test_commands(rated: pa.Table, tmp_path: Path) -> None:
    pq.write_table(rated, tmp_path / "rated.parquet")
    lib = str(tmp_path / "lib")
    args = [str(tmp_path / "rated.parquet"), "-o", lib, "--dim", "128"]
    done = CliRunner().invoke(cli, ["library", "build", *args])
    assert done.exit_code == 0, done.output
    assert "residual" in done.output
    done = CliRunner().invoke(cli, ["library", "report", lib])
    assert done.exit_code == 0, done.output
    assert "quadratic weighted kappa" in done.output
    done = CliRunner().invoke(cli, ["library", "report", lib, "--json"])
    assert json.loads(done.output)["num_records"] == 300
