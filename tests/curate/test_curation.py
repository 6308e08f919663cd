"""Planted errors are found, right ratings stay; what cannot be curated is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.curate.conftest import plant

from lmmixup.curate import CurateConfig, Curation, curate
from lmmixup.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    from tests.curate.conftest import Planted

    Groups = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]

FLIPS = ("uniform", "adjacent", "asymmetric")


def run(planted: Planted, **options: object) -> Curation:
    return curate(planted.observed.astype(float), planted.vectors, CurateConfig(**options))


def shares(planted: Planted, curation: Curation) -> tuple[float, float]:
    """Share of the errors that were corrected, and of the right ratings that were changed."""
    wrong = planted.observed != planted.true
    corrected = (curation.ratings_N == planted.true)[wrong].mean()
    return float(corrected), float(curation.is_changed_N[~wrong].mean())


@pytest.mark.parametrize("flips", FLIPS)
def test_errors_in_narrow_bunches_are_corrected(drawn_groups: Groups, flips: str) -> None:
    planted = plant(*drawn_groups, flips)
    curation = run(planted)
    corrected, harmed = shares(planted, curation)
    assert np.abs(curation.before.matrix_CC - planted.transitions).max() < 0.06
    assert corrected > 0.8
    assert harmed < 0.02
    assert curation.clusterability.trusted
    assert not curation.warnings


@pytest.mark.slow
@pytest.mark.parametrize("flips", FLIPS)
def test_errors_in_real_records_are_corrected(real_groups: Groups, flips: str) -> None:
    planted = plant(*real_groups, flips)
    assert len(planted.true) >= 20_000
    curation = run(planted)
    corrected, harmed = shares(planted, curation)
    assert np.abs(curation.before.matrix_CC - planted.transitions).max() < 0.05
    assert corrected >= 0.5
    assert harmed <= 0.02
    # The confidence says how often a correction is right.
    changed = curation.is_changed_N
    right = (curation.ratings_N == planted.true)[changed].mean()
    assert abs(curation.confidence_N[changed].mean() - right) < 0.05


def test_votes_are_the_majority_of_the_neighbours(drawn_groups: Groups) -> None:
    planted = plant(*drawn_groups, "uniform")
    curation = run(planted, method="paper", neighbours=7)
    corrected, _ = shares(planted, curation)
    assert corrected > 0.7
    assert np.allclose(curation.confidence_N * 7, np.round(curation.confidence_N * 7))


def test_same_result_at_any_number_of_threads(drawn_groups: Groups) -> None:
    planted = plant(*drawn_groups, "adjacent")
    results = [
        curate(planted.observed * 1.0, planted.vectors, CurateConfig(), num_threads=threads)
        for threads in (1, 2, 7)
    ]
    for other in results[1:]:
        assert (other.ratings_N == results[0].ratings_N).all()
        assert other.confidence_N.tobytes() == results[0].confidence_N.tobytes()


def test_strangers_are_warned_of(drawn_groups: Groups) -> None:
    vectors, _ = drawn_groups
    ratings = np.random.default_rng(1).integers(0, 4, len(vectors)).astype(float)
    curation = curate(ratings, vectors, CurateConfig())
    assert not curation.clusterability.trusted
    assert "too little of each other" in curation.warnings[0]
    assert curation.is_changed_N.mean() < 0.01


def test_a_rating_that_holds_most_rows_is_warned_of(drawn_groups: Groups) -> None:
    vectors, group = drawn_groups
    curation = curate(np.where(group % 4, 3.0, 1.0), vectors, CurateConfig())
    assert "the rating 3 holds 75.0% of the rated records" in curation.warnings[0]


def test_alpaca_has_too_little_clusterability(shared_data: Path) -> None:
    pytest.importorskip("wordllama")
    from lmmixup.embed import embed_texts

    table = pq.read_table(shared_data / "ratings" / "ratings_alpaca_ds2.parquet").slice(0, 8000)
    texts = [f"{row['instruction']}\n{row['output']}" for row in table.to_pylist()]
    ratings = table["rating_llama_3_1_8b"].to_numpy().astype(float)
    curation = curate(ratings, embed_texts(texts, "wordllama"), CurateConfig())
    assert curation.clusterability.agreeing > curation.clusterability.by_chance
    assert not curation.clusterability.trusted


@pytest.mark.parametrize(
    ("ratings", "message"),
    [
        ([3.0] * 20, "expected 2 to 16 different ratings, got 1: every record is rated 3"),
        ([1.0, 2.0] * 4, "expected more rated records than neighbours, got 8 for 10"),
        ([1.0, 2.5] * 10, r"expected whole numbers as ratings, got 2\.5"),
        (list(range(20)), "expected 2 to 16 different ratings, got 20"),
    ],
)
def test_what_cannot_be_curated_is_said(ratings: list[float], message: str) -> None:
    vectors = np.random.default_rng(0).standard_normal((len(ratings), 8)).astype(np.float32)
    with pytest.raises(DataError, match=message):
        curate(np.array(ratings, float), vectors, CurateConfig())
