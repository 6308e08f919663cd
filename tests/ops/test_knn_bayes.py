"""`ops.knn_bayes` and its parts against the plain truth."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import ops, reference
from lmmixup.errors import ArgumentError, DataError

C = 6


def made(seed: int, num_rows: int = 120, dim: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((num_rows, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, rng.integers(C, size=num_rows)


def fitted(labels: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    idx = ops.knn(vectors, 2).idx_QK
    prior = np.bincount(labels, minlength=C) / len(labels)
    return prior, ops.transition(labels, idx, num_classes=C)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from([0.01, 1.0]))
@settings(max_examples=30, deadline=None)
def test_transition_counts_pairs(seed: int, k: int, smoothing: float) -> None:
    rng = np.random.default_rng(seed)
    labels, idx = rng.integers(C, size=40), rng.integers(-1, 40, size=(40, k)).astype(np.int32)
    ours = ops.transition(labels, idx, num_classes=C, smoothing=smoothing)
    truth = reference.transition(labels, idx, num_classes=C, smoothing=smoothing)
    np.testing.assert_allclose(ours, truth, rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 16))
@settings(max_examples=25, deadline=None)
def test_posterior_is_the_loop(seed: int, k: int) -> None:
    library, labels = made(seed)
    queries, _ = made(seed + 1, 20)
    prior, transition = fitted(labels, library)
    table = ops.posterior_table(k, prior, transition)
    found = ops.knn_bayes(library, labels, queries, k=k, table_HC=table)
    idx, _ = reference.knn(library, k, queries)
    np.testing.assert_array_equal(found.neighbours.idx_QK, idx)
    truth = [reference.posterior(labels[row], prior, transition) for row in idx]
    np.testing.assert_allclose(found.posterior_QC, truth, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([1, 2, 7]))
@settings(max_examples=25, deadline=None)
def test_prepared_vectors_give_the_same_bits(seed: int, k: int, num_threads: int) -> None:
    library, _ = made(seed, 300)
    library[seed % 300] = 0
    queries, _ = made(seed + 1, 9)
    ready = ops.Prepared(library, num_threads=num_threads)
    found = ready.nearest(queries, k, num_threads=num_threads)
    truth = ops.knn(library, k, queries, method="exact")
    np.testing.assert_array_equal(found.idx_QK, truth.idx_QK)
    np.testing.assert_array_equal(found.sim_QK, truth.sim_QK)
    assert len(ready) == 300


def test_prepared_vectors_refuse_what_knn_refuses() -> None:
    library, _ = made(3)
    ready = ops.Prepared(library)
    with pytest.raises(DataError, match="dimension of the pool, 12"):
        ready.nearest(library[:, :6].copy(), 3)
    with pytest.raises(ArgumentError, match="k must be at least 1"):
        ready.nearest(library, 0)
    with pytest.raises(DataError, match="C-contiguous float32"):
        ops.Prepared(library[:, ::2])


def test_the_table_has_the_bits_of_the_formula() -> None:
    library, labels = made(5, 400)
    prior, transition = fitted(labels, library)
    table = ops.posterior_table(16, prior, transition)
    assert table.shape == (20_349, C) == (comb(21, 5), C)
    counts = ops.label_counts(labels, ops.knn(library, 16).idx_QK, C)
    direct = ops.posterior(counts, prior, transition)
    np.testing.assert_array_equal(table[ops.histogram_rank(counts)], direct)


@pytest.mark.parametrize(("k", "num_classes"), [(1, 1), (1, 6), (5, 2), (16, 6), (7, 4)])
def test_rank_is_the_place_in_the_table(k: int, num_classes: int) -> None:
    table = ops.histograms(k, num_classes)
    assert (table.sum(axis=1) == k).all()
    np.testing.assert_array_equal(ops.histogram_rank(table), np.arange(len(table)))


def test_a_class_that_nobody_has_stays_at_zero() -> None:
    prior = np.array([0.5, 0.5, 0.0])
    post = ops.posterior(np.array([[0, 0, 16]]), prior, np.full((3, 3), 1 / 3))
    np.testing.assert_allclose(post, [[0.5, 0.5, 0.0]])


def test_same_bits_at_any_number_of_threads() -> None:
    library, labels = made(7, 700)
    table = ops.posterior_table(16, *fitted(labels, library))
    one, two, seven = (
        ops.knn_bayes(library, labels, None, k=16, table_HC=table, num_threads=n) for n in (1, 2, 7)
    )
    for other in (two, seven):
        np.testing.assert_array_equal(one.posterior_QC, other.posterior_QC)
        np.testing.assert_array_equal(one.neighbours.idx_QK, other.neighbours.idx_QK)


def test_bad_input_is_said() -> None:
    library, labels = made(1, 16)
    table = ops.posterior_table(16, np.full(C, 1 / C), np.full((C, C), 1 / C))
    with pytest.raises(DataError, match="at least k = 16 labelled"):
        ops.knn_bayes(library, labels, None, k=16, table_HC=table)
    with pytest.raises(ArgumentError, match="not a table for k = 15"):
        ops.knn_bayes(library, labels, library, k=15, table_HC=table)
    with pytest.raises(DataError, match=r"labels must be in 0\.\.5"):
        ops.knn_bayes(library, labels + 6, library, k=16, table_HC=table)
    with pytest.raises(DataError, match="whole numbers"):
        ops.knn_bayes(library, labels / 2, library, k=16, table_HC=table)
    broken = library.copy()
    broken[3, 1] = np.nan
    with pytest.raises(DataError, match="row 3"):
        ops.knn_bayes(broken, labels, library, k=16, table_HC=table)
    with pytest.raises(ArgumentError, match="smoothing must be above 0"):
        ops.transition(labels, np.zeros((16, 2), np.int32), num_classes=C, smoothing=0)
