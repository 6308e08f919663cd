"""Long-tail scores beside the plain truth and beside scikit-learn's definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmixup import reference
from lmmixup.errors import DataError
from lmmixup.select import long_tail


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 20), st.integers(1, 12))
def test_scores_are_the_mean_distance_of_the_reference(
    seed: int, size: int, k: int, dim: int
) -> None:
    vectors = np.random.default_rng(seed).standard_normal((size, dim)).astype(np.float32)
    idx, sim = reference.knn(vectors, k)
    there = idx >= 0
    expected = 1 - np.where(there, sim, 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    found = long_tail(vectors, k)
    np.testing.assert_allclose(found.score_N, expected, atol=1e-5)
    assert (found.method, found.recall) == ("exact", 1.0)


def test_a_record_that_is_alone_and_one_without_text_have_1() -> None:
    assert long_tail(np.ones((1, 4), np.float32)).score_N.tolist() == [1.0]
    vectors = np.array([[1, 0], [1, 0], [0, 0]], np.float32)
    assert long_tail(vectors, 2).score_N.tolist() == [0.5, 0.5, 1.0]


def test_no_records_have_no_scores() -> None:
    assert long_tail(np.zeros((0, 4), np.float32)).score_N.shape == (0,)


@pytest.mark.parametrize("method", ["blocks", "usearch"])
def test_approximate_methods_say_their_recall_and_order_alike(method: str) -> None:
    rng = np.random.default_rng(2)
    centres = rng.standard_normal((300, 32))
    spread = rng.uniform(0.1, 1.0, (300, 1))[rng.integers(300, size=6000)]
    vectors = centres[rng.integers(300, size=6000)] + spread * rng.standard_normal((6000, 32))
    exact = long_tail(vectors.astype(np.float32))
    found = long_tail(vectors.astype(np.float32), method=method)
    assert found.method == method
    assert found.recall is not None
    assert found.recall >= 0.95
    ranks = [np.argsort(np.argsort(one.score_N)) for one in (exact, found)]
    assert np.corrcoef(*ranks)[0, 1] >= 0.99


@pytest.mark.parametrize("method", ["exact", "blocks", "usearch"])
def test_same_scores_at_any_number_of_threads(method: str) -> None:
    vectors = np.random.default_rng(3).standard_normal((3000, 24)).astype(np.float32)
    first, *others = (
        long_tail(vectors, method=method, num_threads=threads).score_N for threads in (1, 2, 7)
    )
    assert all(first.tobytes() == other.tobytes() for other in others)


def test_a_vector_that_is_no_number_is_named() -> None:
    vectors = np.ones((5, 3), np.float32)
    vectors[2, 1] = np.nan
    with pytest.raises(DataError, match="2"):
        long_tail(vectors)
