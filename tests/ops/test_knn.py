"""`ops.knn` against the plain NumPy truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import ops, reference
from lmmixup.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


def draw(num: int, dim: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Random vectors of many lengths."""
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(0.1, 10, (num, 1))
    return (rng.standard_normal((num, dim)) * lengths).astype(np.float32)


def check(
    found: ops.Neighbours,
    pool: npt.NDArray[np.float32],
    k: int,
    queries: npt.NDArray[np.float32] | None = None,
) -> None:
    """Same similarities as the truth, and each index has the similarity that it is given."""
    idx_QK, sim_QK = reference.knn(pool, k, queries)
    np.testing.assert_allclose(found.sim_QK, sim_QK, atol=1e-5)
    np.testing.assert_array_equal(found.idx_QK < 0, idx_QK < 0)
    asked = pool if queries is None else queries
    for row, (indices, sims) in enumerate(zip(found.idx_QK, found.sim_QK, strict=True)):
        there = indices[indices >= 0]
        assert len(set(there.tolist())) == len(there)
        assert queries is not None or row not in there
        for index, sim in zip(there, sims, strict=False):
            lengths = np.linalg.norm(asked[row].astype(float)) * np.linalg.norm(
                pool[index].astype(float)
            )
            truth = float(asked[row].astype(float) @ pool[index].astype(float))
            assert sim == pytest.approx(truth / lengths if lengths else 0.0, abs=1e-5)


@settings(deadline=None, max_examples=60)
@given(
    num=st.integers(0, 150),
    num_queries=st.none() | st.integers(0, 20),
    dim=st.integers(1, 70),
    k=st.integers(1, 160),
    seed=st.integers(0, 1000),
)
def test_exact_agrees_with_the_reference(
    num: int, num_queries: int | None, dim: int, k: int, seed: int
) -> None:
    pool = draw(num, dim, seed)
    queries = None if num_queries is None else draw(num_queries, dim, seed + 1)
    check(ops.knn(pool, k, queries, method="exact"), pool, k, queries)


def test_exact_at_more_than_one_block() -> None:
    pool = draw(1500, 33)
    check(ops.knn(pool, 12, num_threads=2), pool, 12)


def test_ties_go_to_the_lower_index() -> None:
    pool = np.repeat(np.eye(3, dtype=np.float32), 400, axis=0)
    np.testing.assert_array_equal(ops.knn(pool, 5).idx_QK, reference.knn(pool, 5)[0])
    asked = ops.knn(pool, 3, np.eye(3, dtype=np.float32)).idx_QK
    assert asked.tolist() == [[0, 1, 2], [400, 401, 402], [800, 801, 802]]


def test_zero_rows_are_unlike_everything() -> None:
    pool = draw(40, 8)
    pool[[0, 7]] = 0
    found = ops.knn(pool, 3)
    check(found, pool, 3)
    assert found.idx_QK[7].tolist() == [0, 1, 2]
    assert not found.sim_QK[7].any()
    assert not ops.knn(pool, 3, np.zeros((1, 8), np.float32)).sim_QK.any()


def test_fewer_than_k_are_padded() -> None:
    found = ops.knn(draw(3, 4), 5)
    assert (found.idx_QK[:, 2:] == -1).all()
    assert not found.sim_QK[:, 2:].any()
    assert ops.knn(draw(1, 4), 2).idx_QK.tolist() == [[-1, -1]]
    assert ops.knn(np.empty((0, 4), np.float32), 2).idx_QK.shape == (0, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_named(bad: float) -> None:
    pool = draw(20, 4)
    pool[13, 2] = bad
    with pytest.raises(DataError, match="row 13, column 2"):
        ops.knn(pool, 2)
    with pytest.raises(DataError, match="row 13, column 2"):
        ops.knn(draw(20, 4), 2, pool)


def test_what_is_not_contiguous_float32_is_refused() -> None:
    with pytest.raises(DataError, match="strided float32; pass np"):
        ops.knn(draw(20, 8)[:, ::2], 2)
    with pytest.raises(DataError, match="float64"):
        ops.knn(np.ones((3, 4)), 2)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"got shape \(4,\)"):
        ops.knn(np.ones(4, np.float32), 2)
    with pytest.raises(DataError, match="dimension of the pool, 4, got 5"):
        ops.knn(draw(3, 4), 2, draw(3, 5))


@pytest.mark.parametrize(
    "options",
    [{"k": 0}, {"k": 2, "overlap": 0}, {"k": 2, "method": "hnsw"}, {"k": 2, "seed": -1}],
)
def test_arguments_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ArgumentError):
        ops.knn(draw(9, 4), **options)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="exact for queries"):
        ops.knn(draw(9, 4), 2, draw(2, 4), method="blocks")


@pytest.mark.parametrize("method", ["exact", "blocks"])
def test_the_same_bits_at_any_number_of_threads(method: str) -> None:
    pool = draw(4000, 16)

    def run(num_threads: int) -> ops.Neighbours:
        return ops.knn(
            pool,
            9,
            method=method,
            cell_size=500,
            num_threads=num_threads,  # type: ignore[arg-type]
        )

    one = run(1)
    for num_threads in (2, 7):
        other = run(num_threads)
        assert other.idx_QK.tobytes() == one.idx_QK.tobytes()
        assert other.sim_QK.tobytes() == one.sim_QK.tobytes()


def test_blocks_measures_its_recall() -> None:
    pool = draw(4000, 16)
    found = ops.knn(pool, 10, method="blocks", cell_size=400, overlap=2, recall_sample=300)
    truth = reference.knn(pool, 10)[1]
    assert found.method == "blocks"
    assert found.num_sampled == 300
    assert found.recall is not None
    assert found.recall < 0.99
    whole = float((found.sim_QK >= truth[:, -1:] - 1e-6).mean())
    assert found.recall == pytest.approx(whole, abs=0.05)


def test_auto_says_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = draw(600, 8)
    assert ops.knn(pool, 3).method == "exact"
    monkeypatch.setitem(ops.knn.__globals__, "EXACT_UP_TO", 500)
    assert ops.knn(pool, 3).method == "blocks"
    assert ops.knn(pool, 3, pool).method == "exact"


@pytest.mark.slow
def test_recall_on_real_text(shared_data: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(shared_data / "pools" / "pool_t0_train.parquet").slice(0, 20_000)
    columns = table.select(["instruction", "input", "output"]).to_pylist()
    rng = np.random.default_rng(0)
    words: dict[str, npt.NDArray[np.float64]] = {}
    vectors = np.zeros((len(columns), 64))
    for row, record in enumerate(columns):
        for word in " ".join(filter(None, record.values())).lower().split():
            if word not in words:
                words[word] = rng.standard_normal(64)
            vectors[row] += words[word]
    pool = vectors.astype(np.float32)
    found = ops.knn(pool, 10, method="blocks", cell_size=2048, recall_sample=1000)
    assert found.recall is not None
    assert found.recall >= 0.95
