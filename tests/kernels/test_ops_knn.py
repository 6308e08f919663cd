"""`ops.knn(method="triton")`: chosen only where it can run, and equal to the truth."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from lmmixup import ops, reference
from lmmixup.errors import ArgumentError, DataError
from lmmixup.ops import triton

knn_module = importlib.import_module("lmmixup.ops.knn")  # `ops.knn` is the function


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a GPU were here: the same path on the CPU."""
    plain = triton.Library
    on_cpu = {"device": "cpu", "backend": "eager"}
    monkeypatch.setattr(triton, "why_not", lambda num_bytes=0: None)
    monkeypatch.setattr(triton, "Library", lambda vectors, **_: plain(vectors, **on_cpu))


def draw(num: int, dim: int = 20, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((num, dim)) * rng.uniform(0.1, 9, (num, 1))).astype(np.float32)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("with_queries", [True, False])
def test_equals_the_truth(monkeypatch: pytest.MonkeyPatch, with_queries: bool) -> None:
    monkeypatch.setattr(triton, "ROWS", 64)
    pool, queries = draw(150), draw(90, seed=1) if with_queries else None
    pool[5] = 0
    found = ops.knn(pool, 9, queries, method="triton")
    idx_QK, sim_QK = reference.knn(pool, 9, queries)
    assert found.method == "triton"
    assert found.recall == 1.0
    np.testing.assert_allclose(found.sim_QK, sim_QK, atol=1e-6)
    distinct = np.r_[:5, 6 : len(idx_QK)]  # all is alike to the row of zeros
    np.testing.assert_array_equal(found.idx_QK[distinct], idx_QK[distinct])


@pytest.mark.usefixtures("here")
def test_auto_takes_it_for_large_work_only(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = draw(60)
    assert ops.knn(pool, 3).method == "exact"
    monkeypatch.setattr(knn_module, "GPU_FROM", 3_599)
    assert ops.knn(pool, 3).method == "triton"
    assert ops.knn(pool, 128).method == "exact"


@pytest.mark.usefixtures("here")
def test_bad_vectors_are_said() -> None:
    pool = draw(60)
    with pytest.raises(ArgumentError, match=r"keeps 1\.\.127 neighbours, got k = 128"):
        ops.knn(pool, 128, method="triton")
    pool[17, 2] = np.nan
    with pytest.raises(DataError, match="vectors must be finite, row 17 is not"):
        ops.knn(pool, 3, method="triton")


def test_without_a_gpu_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "why_not", lambda num_bytes=0: "torch sees no GPU")
    with pytest.raises(ArgumentError, match="cannot run here: torch sees no GPU; use auto"):
        ops.knn(draw(10), 3, method="triton")
    monkeypatch.setattr(knn_module, "GPU_FROM", 0)
    assert ops.knn(draw(10), 3).method == "exact"


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(triton, "_why_never", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (3 << 30, 80 << 30))
    assert triton.why_not() is None
    assert triton.why_not(4 << 28) is None
    assert triton.why_not(6 << 28) == ("3.5 GB for vectors do not fit into the GPU's free 3.2 GB")


@pytest.mark.usefixtures("here")
def test_prepared_vectors_are_asked_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, queries = draw(150), draw(40, seed=1)
    ready = ops.Prepared(pool)
    assert ready.nearest(queries, 5, method="auto").method == "exact"
    found = ready.nearest(queries, 5, method="triton")
    exact = ready.nearest(queries, 5)
    assert (found.method, exact.method) == ("triton", "exact")
    np.testing.assert_array_equal(found.idx_QK, exact.idx_QK)
    np.testing.assert_allclose(found.sim_QK, exact.sim_QK, atol=1e-6)
    monkeypatch.setattr(triton, "Library", None)  # the vectors are there already
    assert ready.nearest(queries, 5, method="triton").method == "triton"
    with pytest.raises(ArgumentError, match="must be auto, exact or triton, got 'blocks'"):
        ready.nearest(queries, 5, method="blocks")
    with pytest.raises(ArgumentError, match=r"keeps 1\.\.127 neighbours, got k = 200"):
        ready.nearest(queries, 200, method="triton")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("prepared", [True, False])
@pytest.mark.parametrize("with_queries", [True, False])
def test_knn_bayes_has_the_same_posteriors(prepared: bool, with_queries: bool) -> None:
    pool, labels = draw(200), np.random.default_rng(0).integers(6, size=200)
    queries = draw(60, seed=2) if with_queries else None
    prior = np.bincount(labels, minlength=6) / 200
    table = ops.posterior_table(
        16, prior, ops.transition(labels, ops.knn(pool, 2).idx_QK, num_classes=6)
    )
    library = ops.Prepared(pool) if prepared else pool
    options = {"k": 16, "table_HC": table}
    exact = ops.knn_bayes(library, labels, queries, **options)
    found = ops.knn_bayes(library, labels, queries, method="triton", **options)
    assert found.neighbours.method == "triton"
    np.testing.assert_array_equal(found.posterior_QC, exact.posterior_QC)


@pytest.mark.usefixtures("here")
def test_the_nearest_of_all_is_that_of_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """With copies, scaled copies, zero rows, nothing above 0: what is unsure is asked again."""
    from lmmixup.dedup.semantic import nearest
    from lmmixup.progress import SILENT

    pool, queries = draw(150, 24), draw(120, 24, seed=1)
    pool[50:60], pool[60:70], pool[70] = pool[:10], pool[10:20] * 2, 0
    queries[:30] = pool[:30]
    queries[30:40] = pool[30:40] + 1e-6 * queries[30:40]
    queries[40], queries[41:44] = 0, -pool[5] / 3
    options = {"num_threads": 1, "reporter": SILENT}
    asked: list[int] = []
    plain = ops.knn

    def counted(vectors, k, queries_QD=None, **rest):
        asked.append(len(queries_QD))
        return plain(vectors, k, queries_QD, **rest)

    for library in (pool, pool[:1], pool[70:71], np.abs(pool) + 0.1):
        for some in (queries, -np.abs(queries)):
            expected = nearest(some, library, method="exact", **options)
            monkeypatch.setattr(ops, "knn", counted)
            found = nearest(some, library, method="triton", **options)
            monkeypatch.setattr(ops, "knn", plain)
            assert found[0].tobytes() == expected[0].tobytes()
            assert found[1].tobytes() == expected[1].tobytes()
            assert (found[2], expected[2]) == ("triton", "exact")
    assert asked[0] < 20
