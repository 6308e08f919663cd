"""`ops.Index`: recall, round trips, and everything that is no index."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import ops, reference
from lmmixup.errors import ArgumentError, DataError, FileError, OutputExistsError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

Dtype = Literal["f32", "f16", "i8"]
DTYPES: tuple[Dtype, ...] = ("f32", "f16", "i8")


def draw(num: int, dim: int = 24, seed: int = 0) -> npt.NDArray[np.float32]:
    """Random vectors of many lengths."""
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(0.1, 10, (num, 1))
    return (rng.standard_normal((num, dim)) * lengths).astype(np.float32)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    ops.Index.build(draw(500), embedder={"embedder": "x"}).save(tmp_path / "lib.usearch")
    return tmp_path / "lib.usearch"


@settings(deadline=None, max_examples=40)
@given(
    nums=st.tuples(st.integers(0, 60), st.integers(0, 8)),
    dim=st.integers(1, 40),
    k=st.integers(1, 70),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 1000),
)
def test_a_small_library_is_searched_whole(
    nums: tuple[int, int], dim: int, k: int, dtype: Dtype, seed: int
) -> None:
    pool, queries = draw(nums[0], dim, seed), draw(nums[1], dim, seed + 1)
    found = ops.Index.build(pool, dtype=dtype).search(queries, k)
    idx_QK, sim_QK = reference.knn(pool, k, queries)
    np.testing.assert_array_equal(found.idx_QK < 0, idx_QK < 0)
    if dtype == "f32":
        np.testing.assert_allclose(found.sim_QK, sim_QK, atol=1e-5)
    assert found.method == "usearch"


@pytest.mark.parametrize("dtype", DTYPES)
def test_most_are_found_with_their_cosines(dtype: Dtype) -> None:
    pool, queries = draw(3000), draw(200, seed=1)
    index = ops.Index.build(pool, dtype=dtype)
    found = index.search(queries, 10, recall_sample=200)
    assert found.num_sampled == 200
    assert found.recall is not None
    assert found.recall >= 0.95
    idx_QK, sim_QK = reference.knn(pool, 10, queries)
    same = found.idx_QK == idx_QK
    assert same.mean() > 0.9
    np.testing.assert_allclose(found.sim_QK[same], sim_QK[same], atol=1e-5)


def test_ties_go_to_the_lower_index() -> None:
    pool = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    found = ops.Index.build(pool).search(np.eye(3, dtype=np.float32), 5)
    assert found.idx_QK.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_round_trip_answers_the_same(tmp_path: Path, dtype: Dtype) -> None:
    pool, queries = draw(800), draw(50, seed=2)
    pool[[3, 700]] = 0
    index = ops.Index.build(pool, dtype=dtype, embedder={"embedder": "lexical", "dim": 24})
    index.save(tmp_path / "lib")
    np.save(tmp_path / "pool.npy", pool)
    mapped = np.load(tmp_path / "pool.npy", mmap_mode="r")
    opened = ops.Index.open(tmp_path / "lib", vectors_ND=mapped)
    assert opened.info == index.info
    expected, found = index.search(queries, 7), opened.search(queries, 7, num_threads=7)
    assert found.idx_QK.tobytes() == expected.idx_QK.tobytes()
    assert found.sim_QK.tobytes() == expected.sim_QK.tobytes()
    stored = ops.Index.open(tmp_path / "lib").search(queries, 7)
    tolerance = {"f32": 1e-5, "f16": 1e-3, "i8": 2e-2}[dtype]
    np.testing.assert_allclose(stored.sim_QK, expected.sim_QK, atol=tolerance)
    with pytest.raises(ArgumentError, match="needs the vectors"):
        ops.Index.open(tmp_path / "lib").search(queries, 7, recall_sample=5)


def test_the_same_file_at_any_number_of_threads(tmp_path: Path) -> None:
    pool = draw(1500)
    for threads in (1, 2, 7):
        ops.Index.build(pool, num_threads=threads).save(tmp_path / str(threads))
    for name in ("{}", "{}.json"):
        one = (tmp_path / name.format(1)).read_bytes()
        assert all((tmp_path / name.format(n)).read_bytes() == one for n in (2, 7))


def test_several_threads_build_where_asked() -> None:
    pool = draw(2000)
    index = ops.Index.build(pool, reproducible=False, num_threads=7)
    assert not index.info.reproducible
    found = index.search(draw(100, seed=5), 10, recall_sample=100)
    assert found.recall is not None
    assert found.recall >= 0.95


def test_zero_rows_and_more_than_there_are() -> None:
    pool, queries = draw(20), draw(3, seed=3)
    pool[[0, 9]] = 0
    queries[1] = 0
    index = ops.Index.build(pool, dtype="f32")
    found = index.search(queries, 25)
    truth = ops.knn(pool, 25, queries, method="exact")
    np.testing.assert_array_equal(found.idx_QK, truth.idx_QK)
    np.testing.assert_allclose(found.sim_QK, truth.sim_QK, atol=1e-6)
    empty = ops.Index.build(np.empty((0, 4), np.float32))
    assert (len(empty), empty.search(draw(2, 4), 3).idx_QK.tolist()) == (0, [[-1] * 3] * 2)


def test_it_is_the_third_method_of_knn() -> None:
    pool, queries = draw(2000), draw(300, seed=4)
    for asked in (None, queries):
        exact = ops.knn(pool, 8, asked, method="exact")
        found = ops.knn(pool, 8, asked, method="usearch", recall_sample=100, num_threads=1)
        assert (found.method, found.num_sampled) == ("usearch", 100)
        assert found.recall is not None
        assert found.recall >= 0.95
        same = (found.idx_QK == exact.idx_QK).mean()
        assert same == pytest.approx(found.recall, abs=0.05)
        other = ops.knn(pool, 8, asked, method="usearch", num_threads=7)
        assert other.idx_QK.tobytes() == found.idx_QK.tobytes()
        assert other.sim_QK.tobytes() == found.sim_QK.tobytes()
    assert not (ops.knn(pool, 8, method="usearch").idx_QK == np.arange(2000)[:, None]).any()


def test_auto_builds_one_for_many_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = draw(600, 8)
    monkeypatch.setitem(ops.knn.__globals__, "EXACT_UP_TO", 100)
    assert ops.knn(pool, 3, pool).method == "exact"
    monkeypatch.setitem(ops.knn.__globals__, "GRAPH_FROM", 600)
    assert ops.knn(pool, 3, pool).method == "usearch"
    assert ops.knn(pool, 3, pool[:599]).method == "exact"
    assert ops.knn(pool, 3).method == "blocks"


def test_another_embedder_is_refused(saved: Path) -> None:
    assert len(ops.Index.open(saved, embedder={"embedder": "x"})) == 500
    with pytest.raises(DataError, match=r"the index has those of .'embedder': 'x'."):
        ops.Index.open(saved, embedder={"embedder": "y"})


def test_what_is_not_whole_is_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=f"expected {len(whole)} bytes, got {len(whole) - 100}"):
        ops.Index.open(saved)
    saved.write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
    with pytest.raises(DataError, match="not those that were written"):
        ops.Index.open(saved)
    saved.unlink()
    with pytest.raises(FileError, match="No such file"):
        ops.Index.open(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "expected an index of format 1, got 2"),
        ({"dim": 25}, "expected 500 rows of"),
        ({"count": 499}, "expected 499 rows of"),
        ({"dtype": "i8"}, "expected 500 rows of"),
        ({"dtype": "f64"}, "dtype must be f32, f16 or i8"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_a_description_of_something_else_is_refused(
    saved: Path, change: dict[str, Any], message: str
) -> None:
    beside = saved.with_name(saved.name + ".json")
    beside.write_text(json.dumps(json.loads(beside.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        ops.Index.open(saved)
    beside.write_text("[1")
    with pytest.raises(DataError, match="expected the description of an index"):
        ops.Index.open(saved)


def test_an_index_that_exists_is_kept(saved: Path) -> None:
    index = ops.Index.build(draw(10))
    with pytest.raises(OutputExistsError, match="exists already"):
        index.save(saved)
    index.save(saved, overwrite=True)
    assert len(ops.Index.open(saved)) == 10
    assert sorted(path.name for path in saved.parent.iterdir()) == [
        saved.name,
        f"{saved.name}.json",
    ]
    with pytest.raises(FileError):
        index.save(saved / "below")


def test_bad_input_is_refused() -> None:
    pool = draw(50)
    index = ops.Index.build(pool)
    bad = pool.copy()
    bad[13, 2] = np.nan
    for call in (lambda: ops.Index.build(bad), lambda: index.search(bad, 2)):
        with pytest.raises(DataError, match="row 13, column 2"):
            call()
    with pytest.raises(DataError, match="dimension of the index, 24, got 23"):
        index.search(draw(3, 23), 2)
    with pytest.raises(DataError, match="float64"):
        ops.Index.build(np.ones((3, 4)))  # type: ignore[arg-type]
    for options in ({"k": 0}, {"k": 1, "expansion": 0}):
        with pytest.raises(ArgumentError):
            index.search(pool, **options)
    for option in ({"connectivity": 1}, {"expansion": 0}, {"dtype": "f64"}):
        with pytest.raises(ArgumentError):
            ops.Index.build(pool, **option)  # type: ignore[arg-type]


def test_other_vectors_are_noticed(saved: Path) -> None:
    with pytest.raises(DataError, match="expected the 500 x 24 vectors of the index, got 50 x 24"):
        ops.Index.open(saved, vectors_ND=draw(50))
    other = ops.Index.open(saved, vectors_ND=draw(500, seed=9))
    with pytest.raises(DataError, match="must be those that the index was built of"):
        other.search(draw(5), 3)


@pytest.mark.slow
def test_recall_on_real_text(shared_data: Path) -> None:
    import pyarrow.parquet as pq

    from lmmixup.embed import embed_texts

    table = pq.read_table(shared_data / "pools" / "pool_t0_train.parquet").slice(0, 12_000)
    rows = table.select(["instruction", "input", "output"]).to_pylist()
    vectors = embed_texts(["\n".join(filter(None, row.values())) for row in rows], "lexical")

    def recall(asks: npt.NDArray[np.bool_], expansion: int) -> float:
        index = ops.Index.build(vectors[~asks])
        found = index.search(vectors[asks], 10, expansion=expansion, recall_sample=1000)
        assert found.recall is not None
        return found.recall

    drawn = np.random.default_rng(0).random(12_000) < 1 / 6
    assert recall(drawn, 128) >= 0.97
    # The last records are of other data sets than the rest: strangers need a wider search.
    strangers = np.arange(12_000) >= 10_000
    assert recall(strangers, 512) >= 0.97
    assert recall(strangers, 128) < recall(strangers, 512)
