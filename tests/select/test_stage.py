"""`lmmixup select`: orders, ratios, outcomes, layouts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lmmixup import reference
from lmmixup.cli import cli
from lmmixup.errors import ArgumentError, DataError, InfeasibleError, LmmixupError
from lmmixup.pool import export, open_pool
from lmmixup.progress import Reporter
from lmmixup.select import STRATEGIES, SelectConfig, run

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.stage import StageResult


def select(pool: pa.Table, output: Path, **options: Any) -> tuple[StageResult, pa.Table]:
    config = SelectConfig(vector_column="vector", **options)
    result = run(open_pool(pool), config, output=output)
    return result, pq.read_table(output / "data.parquet")


def ids_of(output: Path) -> list[str]:
    return pq.read_table(output / "data.parquet")["id"].to_pylist()


def dropped(output: Path) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for row in pq.read_table(output / "dropped.parquet").to_pylist():
        reasons.setdefault(row["reason"], []).append(row["id"])
    return reasons


def test_ds2_is_rating_then_long_tail(rated: pa.Table, tmp_path: Path) -> None:
    result, data = select(rated, tmp_path / "out", num=100, shuffle=False)
    idx, sim = reference.knn(np.array(rated["vector"].to_pylist(), np.float32), 15)
    tail = 1 - sim.mean(axis=1)
    rows = [row for row, rating in enumerate(rated["rating"].to_pylist()) if rating is not None]
    rows.sort(key=lambda row: (-rated["rating"][row].as_py(), -tail[row]))
    assert data["id"].to_pylist() == [f"o{row}" for row in rows[:100]]
    np.testing.assert_allclose(data["long_tail"].to_numpy(), tail[rows[:100]], atol=1e-5)
    assert data["selection_rank"].to_pylist() == list(range(1, 101))
    assert result.counts["kept"] == 100
    assert result.counts["dropped"] == {"not-selected": 80, "unrated": 30}
    ids = [
        *data["id"].to_pylist(),
        *(i for some in dropped(tmp_path / "out").values() for i in some),
    ]
    assert sorted(ids) == sorted(rated["id"].to_pylist())
    assert (idx >= 0).all()


@pytest.mark.parametrize("search", ["exact", "blocks", "usearch"])
def test_the_manifest_says_how_neighbours_were_found(
    rated: pa.Table, tmp_path: Path, search: str
) -> None:
    exact, _ = select(rated, tmp_path / "exact", num=20, strategy="knn")
    result, _ = select(rated, tmp_path / "out", num=20, strategy="knn", search=search)
    assert result.figures["search"] == search
    assert result.figures["recall"] == exact.figures["recall"] == 1
    assert ids_of(tmp_path / "out") == ids_of(tmp_path / "exact")


def test_each_strategy_orders_as_it_says(rated: pa.Table, tmp_path: Path) -> None:
    ratings = np.array([np.nan if r is None else r for r in rated["rating"].to_pylist()])
    tail = 1 - reference.knn(np.array(rated["vector"].to_pylist(), np.float32), 15)[1].mean(axis=1)
    expected = {
        "longest": np.array([len(text) for text in rated["completion"].to_pylist()]),
        "knn": tail,
        "alpagasus": (ratings >= 4).astype(float),
        "deita": ratings * rated["complexity"].to_numpy(),
    }
    for strategy, key in expected.items():
        _, data = select(
            rated,
            tmp_path / strategy,
            num=40,
            strategy=strategy,
            quality="rating",
            max_similarity=1.0,
            shuffle=False,
        )
        values = [key[int(name[1:])] for name in data["id"].to_pylist()]
        assert (np.diff(values) <= 1e-6).all(), strategy
        rest = np.setdiff1d(np.arange(210), [int(name[1:]) for name in data["id"].to_pylist()])
        assert np.nanmax(key[rest]) <= min(values) + 1e-6, strategy


def test_alpagasus_says_what_is_below(rated: pa.Table, tmp_path: Path) -> None:
    result, data = select(rated, tmp_path / "out", strategy="alpagasus", at=5)
    assert set(data["rating"].to_pylist()) == {5}
    assert result.counts["dropped"]["unrated"] == 30
    assert result.counts["kept"] + result.counts["dropped"]["rated-below"] == 180


def test_deita_leaves_out_what_is_similar(rated: pa.Table, tmp_path: Path) -> None:
    # Every record twice; the copies come after all originals.
    twice = pa.concat_tables([rated, rated.set_column(
        0, "id", pa.array([f"c{row}" for row in range(210)])
    )])  # fmt: skip
    options = {"strategy": "deita", "quality": "rating", "max_similarity": 0.99}
    result, data = select(twice, tmp_path / "out", **options)
    assert all(name.startswith("o") for name in data["id"].to_pylist())
    assert result.counts["dropped"] == {"no-score": 60, "too-similar": 180}
    vectors = np.array(data["vector"].to_pylist(), np.float32)
    assert reference.knn(vectors, 1)[1].max() <= 0.99
    few, _ = select(twice, tmp_path / "few", num=20, **options)
    assert few.counts["kept"] == 20
    assert 0 < few.counts["dropped"]["too-similar"] <= 20


def test_a_merge_keeps_both_counts(rated: pa.Table, distilled: pa.Table, tmp_path: Path) -> None:
    pq.write_table(distilled, tmp_path / "distilled.parquet")
    options = {"distilled": tmp_path / "distilled.parquet", "num": 100, "ratio": "3:7"}
    result, data = select(rated, tmp_path / "out", **options)
    origins = data["origin"].to_pylist()
    assert (origins.count("distilled"), origins.count("original")) == (30, 70)
    assert all(
        (name[0] == "d") == (origin == "distilled")
        for name, origin in zip(data["id"].to_pylist(), origins, strict=True)
    )
    assert origins[:30].count("distilled") < 30  # shuffled
    assert result.counts["input"] == 280
    assert len(result.manifest["inputs"]) == 1  # the other pool is a table in memory
    # A column that one side lacks is null there, and the export has no empty rows.
    assert data.filter(pa.compute.equal(data["origin"], "original"))["cluster"].null_count == 70
    export(open_pool(tmp_path / "out"), tmp_path / "back.jsonl")
    back = [json.loads(line) for line in (tmp_path / "back.jsonl").read_text().splitlines()]
    assert [row["id"] for row in back] == data["id"].to_pylist()
    assert all(row["prompt"] and row["messages"] for row in back)


def test_fewer_is_an_error_or_told(rated: pa.Table, distilled: pa.Table, tmp_path: Path) -> None:
    pq.write_table(distilled, tmp_path / "d.parquet")
    options = {"distilled": tmp_path / "d.parquet", "num": 200, "ratio": "5:5"}
    with pytest.raises(InfeasibleError, match="expected 100 distilled records, got 60"):
        select(rated, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    result, data = select(rated, tmp_path / "out", allow_fewer=True, **options)
    assert data.num_rows == 120
    assert result.figures["fewer_than_asked"]
    with pytest.raises(InfeasibleError, match="expected 500 selectable records, got 180"):
        select(rated, tmp_path / "one", num=500)


def test_nothing_to_select_is_said(rated: pa.Table, tmp_path: Path) -> None:
    for strategy in ("ds2", "random", "deita"):
        with pytest.raises(InfeasibleError, match=f"strategy {strategy} may take, got none"):
            select(rated.slice(0, 0), tmp_path / "out", strategy=strategy, quality="rating")
    unrated = rated.slice(0, 1)
    with pytest.raises(InfeasibleError, match="may take, got none among 1"):
        select(unrated, tmp_path / "out", num=5, allow_fewer=True)


def test_one_side_only(rated: pa.Table, distilled: pa.Table, tmp_path: Path) -> None:
    pq.write_table(distilled, tmp_path / "d.parquet")
    for ratio, origin in (("10:0", "distilled"), ("0:10", "original")):
        _, data = select(
            rated, tmp_path / origin, distilled=tmp_path / "d.parquet", num=50, ratio=ratio
        )
        assert set(data["origin"].to_pylist()) == {origin}


def test_an_id_on_both_sides_is_refused(rated: pa.Table, tmp_path: Path) -> None:
    pq.write_table(rated.slice(0, 60), tmp_path / "d.parquet")
    with pytest.raises(DataError, match="expected ids of one side only, got 60 on both"):
        select(rated, tmp_path / "out", distilled=tmp_path / "d.parquet", num=20)


def test_the_seed_draws_and_the_order_is_the_same_set(rated: pa.Table, tmp_path: Path) -> None:
    names = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        select(rated, tmp_path / name, num=50, seed=seed)
        names[name] = pq.read_table(tmp_path / name / "data.parquet")["id"].to_pylist()
    assert names["a"] == names["b"] != names["c"]
    assert set(names["a"]) == set(names["c"])
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
    drawn = []
    for seed in (0, 1):
        _, data = select(rated, tmp_path / f"r{seed}", strategy="random", num=50, seed=seed)
        drawn.append(set(data["id"].to_pylist()))
    assert drawn[0] != drawn[1]


def test_layouts_have_what_the_trainers_open(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Naïve?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": "No."},
    ]
    odd = [turns[1], turns[1], turns[2]]
    pool = pa.table({"id": ["a", "b"], "messages": [turns, odd]})
    config = SelectConfig(
        strategy="random", shuffle=False, layout=("trl", "llama-factory", "axolotl")
    )
    result = run(open_pool(pool), config, output=tmp_path / "out")
    order = pq.read_table(tmp_path / "out" / "data.parquet")["id"].to_pylist()
    at = order.index("a")
    trl = [json.loads(x) for x in (tmp_path / "out/trl/train.jsonl").read_text().splitlines()]
    assert trl[at] == {"prompt": turns[:4], "completion": turns[4:]}
    factory = tmp_path / "out" / "llama-factory"
    info = json.loads((factory / "dataset_info.json").read_text())["lmmixup"]
    rows = json.loads((factory / info["file_name"]).read_text())
    assert rows[at][info["columns"]["messages"]] == turns
    assert result.figures["llama_factory_will_skip"] == 1
    lines = (tmp_path / "out/axolotl/train.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[at]) == {"messages": turns}
    assert "Naïve" in lines[at]
    assert "type: chat_template" in (tmp_path / "out/axolotl/dataset.yml").read_text()
    assert "llama-factory/train.json" in result.manifest["outputs"]


def test_columns_of_the_same_name_stay_and_those_of_an_earlier_run_give_way(
    rated: pa.Table, tmp_path: Path
) -> None:
    own = rated.append_column("long_tail", pa.array([f"own {n}" for n in range(len(rated))]))
    _, data = select(own, tmp_path / "once", num=50, strategy="knn", shuffle=False)
    expected = [f"own {name[1:]}" for name in ids_of(tmp_path / "once")]
    assert data["original_long_tail"].to_pylist() == expected
    assert pa.types.is_floating(data.schema.field("long_tail").type)
    exported = tmp_path / "exported.parquet"
    export(open_pool(tmp_path / "once"), exported)
    assert pq.read_table(exported).schema.names == own.schema.names
    assert pq.read_table(exported)["long_tail"].to_pylist() == expected
    notes = Notes()
    config = SelectConfig(strategy="random", num=20)
    run(open_pool(tmp_path / "once"), config, output=tmp_path / "twice", reporter=notes)
    assert notes.said == ["columns of an earlier run give way: selection_rank"]
    twice = pq.read_table(tmp_path / "twice" / "data.parquet")
    assert sorted(twice["selection_rank"].to_pylist()) == list(range(1, 21))
    assert "original_long_tail" in twice.schema.names


class Notes(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


def test_the_command_merges(rated: pa.Table, distilled: pa.Table, tmp_path: Path) -> None:
    pq.write_table(rated, tmp_path / "o.parquet")
    pq.write_table(distilled, tmp_path / "d.parquet")
    args = ["select", "--distilled", str(tmp_path / "d.parquet"), "--original",
            str(tmp_path / "o.parquet"), "-o", str(tmp_path / "out"), "--num", "60",
            "--ratio", "5:5", "--vector-column", "vector", "--layout", "trl"]  # fmt: skip
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 0, result.output
    assert len((tmp_path / "out/trl/train.jsonl").read_text().splitlines()) == 60


def test_every_listed_strategy_is_there() -> None:
    result = CliRunner().invoke(cli, ["select", "--help"])
    listed = result.output.split("--strategy [")[1].split("]")[0].replace("\n", "").replace(" ", "")
    assert listed.split("|") == list(STRATEGIES)


def test_what_is_missing_is_said(rated: pa.Table, tmp_path: Path) -> None:
    bare = rated.drop_columns(["rating", "complexity"])
    for options, message in (
        ({}, "--rating: expected one of the columns .* got 'rating'"),
        ({"strategy": "deita"}, "--complexity: expected one of the columns"),
    ):
        with pytest.raises(ArgumentError, match=message):
            select(bare, tmp_path / "out", **options)
    with pytest.raises(ValueError, match="strategy ifd needs a model"):
        SelectConfig(strategy="ifd")
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_there_is_one_line(rated: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(LmmixupError, match=r"the model .*nobody"):
        select(rated, tmp_path / "out", strategy="ifd", model=str(tmp_path / "nobody"))
