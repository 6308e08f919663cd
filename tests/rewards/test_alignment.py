"""Alignment thresholds: what is known of embedders, and how a new one is found."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from lmmixup import library
from lmmixup.cli import cli
from lmmixup.embed import embed_texts
from lmmixup.errors import ArgumentError, DataError
from lmmixup.library import Libraries, open_library
from lmmixup.pool import open_pool
from lmmixup.rewards import (
    RewardConfig,
    Rewards,
    audit,
    calibrate_alignment,
    known_threshold,
)
from lmmixup.rewards.alignment import FALSE_ACCEPTS, LEXICAL_THRESHOLD, WORDLLAMA_THRESHOLD

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {"prompt": "", "completion": f"{'proof ' * (n % 6 + 1)} {n}", "rating": n % 6}
        for n in range(60)
    ]
    path = tmp_path_factory.mktemp("libraries") / "lib"
    config = library.LibraryConfig(dim=64, text="completion", scorer="paper")
    library.run(open_pool(pa.Table.from_pylist(rows)), config, output=path)
    return path


@given(
    st.lists(st.tuples(st.floats(-1, 0.99), st.floats(0, 5)), min_size=60, max_size=200),
    st.floats(0.05, 0.5),
)
def test_the_threshold_is_the_least_that_keeps_the_share(
    pairs: list[tuple[float, float]], share: float
) -> None:
    cosines, similarities = np.array(pairs).T
    low = cosines[similarities < 4]
    if int(share * len(low)) == 0:
        with pytest.raises(DataError, match="enough pairs"):
            calibrate_alignment(cosines, similarities, false_accepts=share)
        return
    made = calibrate_alignment(cosines, similarities, false_accepts=share)
    assert made.false_accepts == (low >= made.threshold).mean() <= share
    assert (low >= made.threshold - 0.0011).mean() > share
    assert made.num_not_aligned + made.num_aligned == len(pairs)


def test_unrated_pairs_are_left_out() -> None:
    made = calibrate_alignment(
        np.array([0.1, 0.2, 0.3, 0.4, 0.99]),
        np.array([0, 1, 2, 3, np.nan]),
        false_accepts=0.25,
    )
    assert (made.threshold, made.num_not_aligned, made.num_aligned) == (0.301, 4, 0)
    assert made.true_accepts is None


def test_where_no_threshold_will_do() -> None:
    with pytest.raises(DataError, match=r"20 of 20 pairs .* have a cosine of 1"):
        calibrate_alignment(np.ones(20), np.zeros(20))


@pytest.mark.parametrize(
    ("identity", "threshold"),
    [
        ({"embedder": "sentence-transformers", "model": "BAAI/bge-m3"}, 0.8),
        ({"embedder": "openai", "model": "bge-m3"}, 0.8),
        ({"embedder": "sentence-transformers", "model": "BAAI/bge-m3-retromae"}, None),
        ({"embedder": "lexical", "version": 2}, LEXICAL_THRESHOLD),
        ({"embedder": "lexical", "version": 1}, None),
        ({"embedder": "static", "weights": "other"}, None),
    ],
)
def test_known_embedders(identity: dict[str, Any], threshold: float | None) -> None:
    assert known_threshold(identity) == threshold


def test_rewards_take_and_tell_the_threshold_of_the_embedder(folder: Path) -> None:
    rewards = Rewards(RewardConfig(library=folder))
    assert rewards.describe()["alignment_thresholds"] == {"default": LEXICAL_THRESHOLD}
    assert rewards.describe()["libraries"] == {"default": open_library(folder).digest()}
    given_one = Rewards(RewardConfig(library=folder, alignment_threshold=0.5))
    found = audit(given_one, ["no tags"], np.zeros(1, int), task_type=["para"])
    assert found.alignment_thresholds == {"default": 0.5}


def test_an_embedder_that_nobody_measured_needs_a_threshold(folder: Path) -> None:
    opened = open_library(folder)
    opened.identity["version"] = 1
    config = RewardConfig(library=folder)
    with pytest.raises(ArgumentError, match=r"no alignment threshold .* rewards calibrate"):
        Rewards(config, libraries=Libraries({"default": opened}))
    Rewards(config, libraries=Libraries({"para": opened}))  # which has no alignment
    Rewards(
        RewardConfig(library=folder, alignment_threshold=0.7),
        libraries=Libraries({"default": opened}),
    )


def test_command(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"left": f"proof {n}", "right": f"proof {n + n % 4}", "alike": 5 if n % 4 == 0 else n % 4}
        for n in range(80)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pairs.parquet")
    args = ["rewards", "calibrate", str(tmp_path / "pairs.parquet"), "--library", str(folder)]
    args += ["--columns", "prompt=left,completion=right"]
    done = CliRunner().invoke(cli, [*args, "--similarity", "alike", "--json"])
    assert done.exit_code == 0, done.output
    made = json.loads(done.output)["default"]
    assert (made["num_not_aligned"], made["num_aligned"]) == (60, 20)
    assert made["false_accepts"] <= FALSE_ACCEPTS
    assert made["true_accepts"] == 1.0
    done = CliRunner().invoke(cli, [*args, "--similarity", "alike"])
    assert f"{made['threshold']:g}" in done.output
    done = CliRunner().invoke(cli, args)
    assert isinstance(done.exception, ArgumentError)
    assert "--similarity: expected one of the columns" in str(done.exception)


def test_a_pair_that_cannot_be_read_is_told(folder: Path, tmp_path: Path) -> None:
    rows = [{"prompt": f"a {n}", "completion": f"b {n % 7}", "score": n % 4} for n in range(60)]
    lines = [json.dumps(row) for row in rows]
    lines[3] = '{"prompt": "cut o'
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    args = ["rewards", "calibrate", str(tmp_path / "pairs.jsonl"), "--library", str(folder)]
    done = CliRunner().invoke(cli, [*args, "--json"], standalone_mode=False)
    assert done.return_value == 3, done.output
    assert f"rejected: {tmp_path / 'pairs.jsonl'}:4" in done.stderr
    assert json.loads(done.stdout)["default"]["num_not_aligned"] == 59
    done = CliRunner().invoke(cli, [*args, "--rejects-ok"], standalone_mode=False)
    assert done.return_value == 0


@pytest.mark.parametrize(
    ("embedder", "threshold"), [("lexical", LEXICAL_THRESHOLD), ("wordllama", WORDLLAMA_THRESHOLD)]
)
def test_thresholds_on_stsb(shared_data: Path, embedder: str, threshold: float) -> None:
    path = shared_data / "aux" / "stsb_en.parquet"
    is_there = embedder == "lexical" or importlib.util.find_spec(embedder) is not None
    if not (path.exists() and is_there):
        pytest.skip(f"needs {path} and {embedder}")
    pairs = pq.read_table(path)
    texts = [*pairs["sentence1"].to_pylist(), *pairs["sentence2"].to_pylist()]
    vectors = embed_texts(texts, embedder)
    cosines = (vectors[: len(pairs)] * vectors[len(pairs) :]).sum(axis=1)
    low = pairs["score"].to_numpy() < 4
    assert 0.02 < (cosines[low] >= threshold).mean() <= FALSE_ACCEPTS
    assert calibrate_alignment(cosines, pairs["score"].to_numpy()).threshold <= threshold
    assert (cosines[~low] >= threshold).mean() > 0.2
