"""`lmmixup rate --knn-bayes` from a pool to ratings with their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lmmixup import embed, library
from lmmixup.cli import cli
from lmmixup.errors import ArgumentError, DataError, FileError
from lmmixup.pool import export, open_pool
from lmmixup.progress import Reporter
from lmmixup.rate import RateConfig, run
from lmmixup.rate.knn_bayes import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path


def records(num_records: int, seed: int, **more: Any) -> pa.Table:
    """Long theorems are good, short weather is bad."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(num_records):
        good = bool(rng.integers(2))
        words = rng.permutation(("theorem proof lemma" if good else "weather sunny rain").split())
        row = {
            "id": f"{seed}-{number}",
            "prompt": "Say " + " ".join(words),
            "completion": " ".join([*words, str(number)]) * (3 if good else 1),
            "rating": 4 + number % 2 if good else number % 3,
        }
        rows.append(row | more)
    return pa.Table.from_pylist(rows)


class Notes(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("libraries") / "lib"
    config = library.LibraryConfig(dim=64)
    library.run(open_pool(records(120, 0)), config, output=folder)
    return folder


def rate(table: pa.Table, lib: Path, output: Path, **options: Any) -> tuple[Any, pa.Table]:
    num_threads = options.pop("num_threads", 0)
    config = RateConfig(knn_bayes=lib, **options)
    result = run(open_pool(table), config, output=output, num_threads=num_threads)
    return result, pq.read_table(output / "data.parquet")


def test_ratings_come_with_their_neighbours(built: Path, tmp_path: Path) -> None:
    pool = records(50, 1).drop_columns("rating")
    result, data = rate(pool, built, tmp_path / "out")
    assert result.counts["kept"] == result.counts["input"] == data.num_rows == 50
    good = np.array(["theorem" in text for text in data["completion"].to_pylist()])
    rating = data["rating"].to_numpy()
    assert rating[good].min() >= 3
    assert rating[~good].max() <= 2
    assert data["p_ge_4"].to_numpy()[good].min() > 0.5
    posterior = np.stack(data["posterior"].to_pylist())
    np.testing.assert_allclose(posterior @ np.arange(6), data["expected"].to_numpy(), atol=1e-5)
    assert (posterior.argmax(axis=1) == data["map_class"].to_numpy()).all()
    known = {row["id"]: row["rating"] for row in records(120, 0).to_pylist()}
    for neighbours in data["neighbours"].to_pylist():
        assert len(neighbours) == 16
        assert all(known[n["id"]] == n["rating"] for n in neighbours)
        cosines = [n["cosine"] for n in neighbours]
        assert cosines == sorted(cosines, reverse=True)
    assert sum(result.figures["ratings"].values()) == result.figures["rated"] == 50
    assert data["rating_reason"].null_count == 50


def test_a_record_without_text_is_unrated(built: Path, tmp_path: Path) -> None:
    rows = records(10, 2).drop_columns("rating").to_pylist()
    rows[4] |= {"prompt": " ", "completion": ""}
    result, data = rate(pa.Table.from_pylist(rows), built, tmp_path / "out")
    row = data.slice(4, 1).to_pylist()[0]
    assert row["rating_reason"] == "no-text"
    assert all(row[name] is None for name in COLUMNS.names if name != "rating_reason")
    assert data["rating"].null_count == 1
    assert result.figures["unrated_reasons"] == {"no-text": 1}


def test_task_types_pick_their_library(tmp_path: Path) -> None:
    for kind in ("qa", "para"):
        table = records(60, 0, task_type=kind)
        config = library.LibraryConfig(dim=64, task_type=kind, scorer="paper")
        library.run(open_pool(table), config, output=tmp_path / "libs" / kind)
    rows = [records(3, 3, task_type=kind).drop_columns("rating") for kind in ("para", "tfq", "qa")]
    pool = pa.concat_tables(rows).set_column(0, "id", pa.array([str(n) for n in range(9)]))
    result, data = rate(pool, tmp_path / "libs", tmp_path / "out")
    reasons = data["rating_reason"].to_pylist()
    assert reasons == [None] * 3 + ["no-library"] * 3 + [None] * 3
    assert result.figures["unrated_reasons"] == {"no-library": 3}
    (tmp_path / "libs" / "qa").rename(tmp_path / "libs" / "default")
    _, data = rate(pool, tmp_path / "libs", tmp_path / "again")
    assert data["rating"].null_count == 0


def test_given_vectors_must_be_the_librarys(built: Path, tmp_path: Path) -> None:
    pool = records(20, 1).drop_columns("rating")
    embed.run(open_pool(pool), embed.EmbedConfig(dim=64), output=tmp_path / "vectors")
    with pytest.raises(DataError, match="vectors must be made as the library's were; expected"):
        rate(pool, built, tmp_path / "out", vectors=tmp_path / "vectors")
    embed.run(open_pool(records(120, 0)), embed.EmbedConfig(dim=64), output=tmp_path / "own")
    own = records(120, 0).drop_columns("rating")
    _, given = rate(own, built, tmp_path / "given", vectors=tmp_path / "own")
    _, made = rate(own, built, tmp_path / "made")
    assert given["expected"].to_pylist() == made["expected"].to_pylist()
    with pytest.raises(DataError, match="none for record '1-0'"):
        rate(pool, built, tmp_path / "out", vectors=tmp_path / "own")
    config = library.LibraryConfig(dim=64, text="completion")
    library.run(open_pool(records(60, 0)), config, output=tmp_path / "answers")
    with pytest.raises(ArgumentError, match="leave out --vectors"):
        rate(own, tmp_path / "answers", tmp_path / "out", vectors=tmp_path / "own")


@pytest.mark.parametrize("scorer", ["residual", "paper"])
def test_a_record_of_the_library_is_rated_by_the_others(scorer: str, tmp_path: Path) -> None:
    own = records(120, 0)
    config = library.LibraryConfig(dim=64, scorer=scorer)
    library.run(open_pool(own), config, output=tmp_path / "lib")
    others = library.open_library(tmp_path / "lib").scorer.leave_one_out()
    pool = pa.concat_tables(
        [records(30, 1), own.set_column(0, "id", [[f"x{n}" for n in range(120)]])]
    )
    result, data = rate(pool.drop_columns("rating"), tmp_path / "lib", tmp_path / "out")
    assert result.figures["records_in_the_library"] == 120
    mine = data.slice(30)
    for name, row in zip(own["id"].to_pylist(), mine["neighbours"].to_pylist(), strict=True):
        assert len(row) == 16
        assert name not in {neighbour["id"] for neighbour in row}
    ids = [[neighbour["id"] for neighbour in row] for row in mine["neighbours"].to_pylist()]
    assert (
        ids
        == own["id"]
        .take(pa.array(others.neighbours.idx_QK.ravel()))
        .to_numpy()
        .reshape(120, 16)
        .tolist()
    )
    if others.head_Q is not None:
        np.testing.assert_allclose(mine["head"].to_numpy(), others.head_Q, atol=1e-6)
    _, kept = rate(
        pool.drop_columns("rating"), tmp_path / "lib", tmp_path / "kept", leave_one_out=False
    )
    assert kept.slice(0, 30)["expected"].equals(data.slice(0, 30)["expected"])
    nearest = [row[0]["id"] for row in kept.slice(30)["neighbours"].to_pylist()]
    assert nearest == own["id"].to_pylist()


def test_records_that_share_a_text_are_all_left_out(tmp_path: Path) -> None:
    rows = records(40, 0).to_pylist()
    rows += [dict(rows[0], id=f"copy-{number}", rating=0) for number in range(5)]
    config = library.LibraryConfig(dim=64)
    library.run(open_pool(pa.Table.from_pylist(rows)), config, output=tmp_path / "lib")
    pool = pa.Table.from_pylist(rows[:3]).drop_columns("rating")
    result, data = rate(pool, tmp_path / "lib", tmp_path / "out")
    assert result.figures["records_in_the_library"] == 3
    first, second = data["neighbours"].to_pylist()[:2]
    same = {rows[0]["id"], *(f"copy-{number}" for number in range(5))}
    assert same.isdisjoint(neighbour["id"] for neighbour in first)
    assert len(second) == 16
    rows = rows[:12] + [dict(rows[0], id=f"copy-{number}") for number in range(9)]
    library.run(open_pool(pa.Table.from_pylist(rows)), config, output=tmp_path / "small")
    with pytest.raises(DataError, match="at least 16 records beside a record's own"):
        rate(pool, tmp_path / "small", tmp_path / "none")
    rate(pool, tmp_path / "small", tmp_path / "some", leave_one_out=False)


def test_fewer_neighbours_may_be_listed(built: Path, tmp_path: Path) -> None:
    pool = records(20, 1).drop_columns("rating")
    _, data = rate(pool, built, tmp_path / "all")
    for number in (0, 3):
        _, few = rate(pool, built, tmp_path / str(number), list_neighbours=number)
        expected = [row[:number] for row in data["neighbours"].to_pylist()]
        assert few["neighbours"].to_pylist() == expected
        assert few.drop_columns("neighbours").equals(data.drop_columns("neighbours"))
    with pytest.raises(ValueError, match="list_neighbours has no effect without knn_bayes"):
        RateConfig(model=("judge",), base_url="http://localhost/v1", list_neighbours=3)


def test_the_share_of_high_ratings_stands_beside_the_librarys(built: Path, tmp_path: Path) -> None:
    result, data = rate(records(50, 1).drop_columns("rating"), built, tmp_path / "out")
    high = (data["rating"].to_numpy() >= 4).mean()
    assert result.figures["share_ge_4"] == pytest.approx(high, abs=1e-6)
    in_library = (records(120, 0)["rating"].to_numpy() >= 4).mean()
    assert result.figures["library_share_ge_4"] == pytest.approx(in_library, abs=1e-6)


def test_the_users_rating_stays_and_an_earlier_one_gives_way(built: Path, tmp_path: Path) -> None:
    pool = records(5, 1)
    _, data = rate(pool, built, tmp_path / "out")
    assert data["original_rating"].to_pylist() == pool["rating"].to_pylist()
    notes = Notes()
    config = RateConfig(knn_bayes=built)
    run(open_pool(tmp_path / "out"), config, output=tmp_path / "again", reporter=notes)
    again = pq.read_table(tmp_path / "again" / "data.parquet")
    assert again.column_names == data.column_names
    assert again.equals(data)
    assert any("earlier run give way: rating, rating_reason" in note for note in notes.said)
    export(open_pool(tmp_path / "again"), tmp_path / "exported.parquet")
    exported = pq.read_table(tmp_path / "exported.parquet")
    assert exported["rating"].to_pylist() == pool["rating"].to_pylist()


def test_a_prefix_keeps_both(built: Path, tmp_path: Path) -> None:
    rate(records(5, 1).drop_columns("rating"), built, tmp_path / "out")
    config = RateConfig(knn_bayes=built, prefix="knn_")
    run(open_pool(tmp_path / "out"), config, output=tmp_path / "both")
    data = pq.read_table(tmp_path / "both" / "data.parquet")
    assert {"rating", "neighbours", "knn_rating", "knn_neighbours"} <= set(data.column_names)
    assert data["rating"].to_pylist() == data["knn_rating"].to_pylist()


def test_same_bytes_at_any_number_of_threads(built: Path, tmp_path: Path) -> None:
    pool = records(50, 1).drop_columns("rating")
    outputs = [
        rate(pool, built, tmp_path / str(n), num_threads=n)[0].manifest["outputs"]
        for n in (1, 2, 7)
    ]
    assert outputs[0] == outputs[1] == outputs[2]


def test_command(built: Path, tmp_path: Path) -> None:
    pq.write_table(records(8, 1).drop_columns("rating"), tmp_path / "pool.parquet")
    args = ["rate", str(tmp_path / "pool.parquet"), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, [*args, "--knn-bayes", str(built)])
    assert done.exit_code == 0, done.output
    assert "kept" in done.output
    with pytest.raises(FileError, match="expected a library"):
        rate(records(8, 1).drop_columns("rating"), tmp_path / "out", tmp_path / "other")
