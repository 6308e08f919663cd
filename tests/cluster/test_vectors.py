"""`cluster_vectors` and its ops on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import ops, reference
from lmmixup.cluster import ClusterConfig, Clusters, Fate, cluster_vectors
from lmmixup.errors import ArgumentError, DataError, InfeasibleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = {"min": 2, "max": 5, "mean": 3, "std": 1}


def make_vectors(count: int, seed: int, dim: int = 16) -> NDArray[np.float32]:
    """Unit vectors around a few directions, some zero, some copies."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(count // 6, 1), dim))
    vectors = centres[random.integers(len(centres), size=count)]
    vectors = vectors + 0.4 * random.normal(size=vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[6::17] = 0
    vectors[9::11] = vectors[8:-1:11][: len(vectors[9::11])]
    return vectors.astype(np.float32)


def cluster(vectors: NDArray[np.float32], **options: object) -> Clusters:
    num_threads = options.pop("num_threads", 0)
    tokens = options.pop("tokens", None)
    config = ClusterConfig(**{**SMALL, **options})
    return cluster_vectors(vectors, config, tokens=tokens, num_threads=num_threads)


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(2, 120),
    seed=st.integers(0, 2**32 - 1),
    method=st.sampled_from(["graph", "paper"]),
    sizes=st.sampled_from(["bounds", "drawn"]),
)
def test_every_record_is_in_a_cluster_within_bounds(
    count: int, seed: int, method: str, sizes: str
) -> None:
    found = cluster(make_vectors(count, seed), method=method, sizes=sizes, seed=seed)
    assert (found.labels >= 0).all()
    assert found.sizes.sum() == count
    assert found.sizes.min() >= 2
    assert found.sizes.max() <= 5
    _, first = np.unique(found.labels, return_index=True)
    assert (np.diff(first) > 0).all(), "clusters are not numbered by first record"


@settings(max_examples=25, deadline=None)
@given(count=st.integers(3, 90), seed=st.integers(0, 2**32 - 1))
def test_quality_is_what_plain_numpy_gives(count: int, seed: int) -> None:
    vectors = make_vectors(count, seed)
    labels = np.random.default_rng(seed).integers(-1, max(count // 4, 1), count).astype(np.int32)
    labels[0] = 0
    labels = np.unique(np.append(labels, -1), return_inverse=True)[1][:-1].astype(np.int32) - 1
    truth = reference.cluster_quality(vectors, labels)
    found = ops.cluster_quality(vectors, labels)
    for name, expected in truth.items():
        np.testing.assert_allclose(found[name], expected, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("method", ["graph", "paper", "mergeit"])
def test_same_at_any_number_of_threads(method: str) -> None:
    vectors = make_vectors(500, 2)
    one = cluster(vectors, method=method, num_threads=1)
    for num_threads in (2, 7):
        again = cluster(vectors, method=method, num_threads=num_threads)
        np.testing.assert_array_equal(again.labels, one.labels)
        assert again.figures == one.figures


def test_a_seed_keeps_and_changes() -> None:
    vectors = make_vectors(400, 3)
    runs = [cluster(vectors, sizes="drawn", seed=seed).labels for seed in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


def test_says_why_it_cannot() -> None:
    with pytest.raises(InfeasibleError, match="1 record cannot be split into clusters of 2 to 5"):
        cluster(make_vectors(1, 0))
    seven = make_vectors(7, 0)
    with pytest.raises(InfeasibleError, match=r"1 hold at most 5, 2 need at least 8"):
        cluster(seven, min=4, mean=4)
    with pytest.raises(InfeasibleError, match="cannot be split"):
        cluster(seven, min=4, mean=4, sizes="drawn")
    found = cluster(seven, min=4, mean=4, allow_leftover=True)
    assert (found.labels >= 0).sum() == 5
    assert found.figures["reasons"] == {"clustered": 5, "not-partitionable": 2}


def test_limits_hold() -> None:
    vectors = make_vectors(300, 4)
    tokens = np.random.default_rng(4).integers(1, 40, 300).astype(np.uint32)
    tokens[5] = 101
    found = cluster(vectors, min_similarity=0.5, max_cluster_tokens=100, tokens=tokens)
    mates = ops.cluster_quality(vectors, found.labels)["to_mates"]
    assert np.nanmin(mates) >= 0.5 - 1e-4
    clustered = found.labels >= 0
    sums = np.bincount(found.labels[clustered], weights=tokens[clustered])
    assert sums.max() <= 100
    assert found.fates[5] == Fate.TOO_LONG
    assert found.sizes.min() >= 2
    zero = ~vectors.any(axis=1)
    assert (found.labels[zero] == -1).all(), "a zero vector has no similarity to anyone"


def test_mergeit_groups_above_its_similarity_only() -> None:
    vectors = make_vectors(400, 5)
    found = cluster(vectors, method="mergeit", filter_share=0.8, pca=8)
    assert len(found.sizes) > 0
    assert set(found.figures["reasons"]) == {"clustered", "not-similar", "filtered"}
    for label in range(len(found.sizes)):
        members = np.flatnonzero(found.labels == label)
        cosines = vectors[members] @ vectors[members].T
        assert (cosines > 0.8).sum(axis=1).max() == len(members), "no member is near all others"


def test_finds_what_belongs_together() -> None:
    """Pairs of near copies end up together, and far above what chance gives."""
    random = np.random.default_rng(6)
    base = random.normal(size=(200, 32))
    vectors = np.repeat(base, 2, axis=0) + 0.05 * random.normal(size=(400, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    found = cluster(vectors, max=4, mean=2)
    assert (found.labels[::2] == found.labels[1::2]).all()
    assert found.figures["near_duplicates_together"] == 1
    assert found.figures["pair_cosine"] > 0.9
    assert found.figures["pair_cosine_of_random_pairs"] < 0.1


def test_refuses_what_is_not_vectors() -> None:
    vectors = make_vectors(20, 7)
    vectors[3, 2] = np.nan
    with pytest.raises(DataError, match="NaN in row 3"):
        cluster(vectors)
    with pytest.raises(DataError, match="C-contiguous"):
        cluster(make_vectors(40, 7)[::2])
    with pytest.raises(ArgumentError, match="needs the tokens"):
        cluster(make_vectors(20, 7), max_cluster_tokens=10)
    with pytest.raises(ArgumentError, match="one number for each"):
        cluster(make_vectors(20, 7), max_cluster_tokens=10, tokens=np.ones(3, np.uint32))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min": 6}, "min must be at most max"),
        ({"mean": 7}, "mean must be within min and max"),
        ({"method": "paper", "min_similarity": 0.5}, "no min_similarity"),
        ({"token_column": "n"}, "no effect without max_cluster_tokens"),
        ({"min": 0}, "greater than or equal to 1"),
    ],
)
def test_config_refuses(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClusterConfig(**{**SMALL, **wrong})
