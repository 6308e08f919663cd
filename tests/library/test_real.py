"""The scorers on real ratings: the figures of docs/knn_bayes.md, with margins."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmmixup.library import LibraryConfig, open_library, report, run
from lmmixup.library.report import Report, compare
from lmmixup.library.store import library_texts, text_bytes
from lmmixup.pool import open_pool

if TYPE_CHECKING:
    from pathlib import Path

RATING = "rating_gpt_4o_mini"


def split(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The 80 % and the 20 %."""
    order = np.random.default_rng(3).permutation(len(table))
    size = len(table) // 5
    return table.take(np.sort(order[size:])), table.take(np.sort(order[:size]))


def judged(output: Path, train: pa.Table, test: pa.Table, scorer: str) -> tuple[Report, Report]:
    config = LibraryConfig(rating=RATING, embedder="wordllama", scorer=scorer)
    run(open_pool(train), config, output=output)
    library = open_library(output)
    records = open_pool(test).read()
    vectors = library.embedder.embed(library_texts(records, config))
    scores = library.score(vectors, text_bytes(records, config))
    return report(library), compare(scores, test[RATING].to_numpy())


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("wordllama") is None, reason="needs wordllama")
def test_better_than_the_paper_on_alpaca(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "ratings" / "ratings_alpaca_ds2.parquet"
    if not path.exists():
        pytest.skip(f"no {path}")
    train, test = split(pq.read_table(path))
    inside, unseen = judged(tmp_path / "ours", train, test, "residual")
    paper_inside, paper_unseen = judged(tmp_path / "paper", train, test, "paper")
    for ours, paper in ((inside, paper_inside), (unseen, paper_unseen)):
        assert ours.spearman > 0.68
        assert 0.58 < paper.spearman < 0.62
        assert ours.qwk > 0.655
        assert 0.56 < paper.qwk < 0.60
        assert ours.ece < 0.01
    assert abs(inside.qwk - unseen.qwk) < 0.02
