"""Libraries that are asked on a GPU: the same ratings and rewards, and it is said."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmmixup import library
from lmmixup.contract import render
from lmmixup.library import open_library
from lmmixup.library.store import library_texts, text_bytes
from lmmixup.ops import triton
from lmmixup.pool import open_pool
from lmmixup.rate import RateConfig, run
from lmmixup.rewards import RewardConfig, Rewards

if TYPE_CHECKING:
    from pathlib import Path

WORDS = [first + second for first in "bdfgklmn" for second in ("alu", "eto", "ira", "osh", "uke")]

knn_module = importlib.import_module("lmmixup.ops.knn")  # `ops.knn` is the function


def records(num: int, seed: int) -> pa.Table:
    """Long theorems are good, short weather is bad."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(num):
        good = bool(rng.integers(2))
        words = rng.permutation(("theorem proof lemma" if good else "weather sunny rain").split())
        text = " ".join([*words, *rng.choice(WORDS, 6)])
        rows.append(
            {
                "id": f"{seed}-{number}", "prompt": f"Say {text}",
                "completion": text * (3 if good else 1),
                "rating": 4 + number % 2 if good else number % 3,
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module", params=["residual", "paper"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("libraries") / "lib"
    config = library.LibraryConfig(dim=64, scorer=request.param, text="completion")
    library.run(open_pool(records(150, 0)), config, output=path)
    return path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a GPU were here and all work were large."""
    plain = triton.Library
    on_cpu = {"device": "cpu", "backend": "eager"}
    monkeypatch.setattr(triton, "why_not", lambda num_bytes=0: None)
    monkeypatch.setattr(triton, "Library", lambda vectors, **_: plain(vectors, **on_cpu))
    monkeypatch.setattr(knn_module, "GPU_FROM", 0)


OUTPUTS = [
    render("t", "Q: theorem?\nA: proof lemma alpha beta"),
    render("t", "Q: rain?\nA: sunny weather"),
    "no tags",
]


def score(folder: Path) -> library.Scores:
    opened = library.open_library(folder)
    others = records(60, 1)
    vectors = opened.embedder.embed(library_texts(others, opened.config))
    return opened.score(vectors, text_bytes(others, opened.config))


def reward(folder: Path) -> list[float | None]:
    return Rewards(RewardConfig(library=folder)).combined(
        OUTPUTS, task_type=["para"] * 3, reference=[OUTPUTS[0]] * 3
    )


def rate(folder: Path, output: Path) -> tuple[Any, pa.Table]:
    config = RateConfig(knn_bayes=folder)
    made = run(open_pool(records(60, 1).drop_columns("rating")), config, output=output)
    return made.figures, pq.read_table(output / "data.parquet")


@pytest.mark.usefixtures("here")
def test_what_a_gpu_finds_is_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, rewards = score(folder), reward(folder)
    (figures, data), found = rate(folder, tmp_path / "gpu"), library.report(open_library(folder))
    monkeypatch.setattr(knn_module, "GPU_FROM", 10**9)
    exact = score(folder)
    assert (scores.neighbours.method, exact.neighbours.method) == ("triton", "exact")
    np.testing.assert_allclose(scores.neighbours.sim_QK, exact.neighbours.sim_QK, atol=1e-6)
    same = (scores.neighbours.idx_QK == exact.neighbours.idx_QK).all(axis=1)
    assert same.mean() > 0.9  # the others are ties
    np.testing.assert_allclose(scores.posterior_QC[same], exact.posterior_QC[same], atol=1e-4)
    np.testing.assert_array_equal(scores.rating_Q, exact.rating_Q)
    assert rewards == pytest.approx(reward(folder), abs=1e-4)
    plain_figures, plain = rate(folder, tmp_path / "cpu")
    assert (figures["neighbours"], plain_figures["neighbours"]) == (["triton"], ["exact"])
    assert data["rating"].equals(plain["rating"])
    expected = np.abs(data["expected"].to_numpy() - plain["expected"].to_numpy())
    assert expected[same].max() < 1e-4
    told = library.report(open_library(folder))
    assert (found.method, told.method) == ("triton", "exact")
    assert found.qwk == pytest.approx(told.qwk, abs=1e-6)


def test_rewards_work_where_no_gpu_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = reward(folder)
    assert all(value is not None for value in expected)
    monkeypatch.setattr(knn_module, "GPU_FROM", 0)
    for reason in ("torch sees no GPU", "9.0 GB for vectors do not fit into the GPU's free 1.0 GB"):
        monkeypatch.setattr(triton, "why_not", lambda num_bytes=0, reason=reason: reason)
        assert score(folder).neighbours.method == "exact"
        assert reward(folder) == expected
