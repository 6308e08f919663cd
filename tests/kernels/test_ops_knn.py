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
    plain = triton.nearest

    def on_cpu(*args, **kwargs):
        return plain(*args, **kwargs, device="cpu", backend="eager")

    monkeypatch.setattr(triton, "why_not", lambda: None)
    monkeypatch.setattr(triton, "nearest", on_cpu)


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
    monkeypatch.setattr(triton, "why_not", lambda: "torch sees no GPU")
    with pytest.raises(ArgumentError, match="cannot run here: torch sees no GPU; use auto"):
        ops.knn(draw(10), 3, method="triton")
    monkeypatch.setattr(knn_module, "GPU_FROM", 0)
    assert ops.knn(draw(10), 3).method == "exact"
