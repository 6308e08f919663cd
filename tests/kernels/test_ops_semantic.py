"""`ops.semantic_families(method="triton")`: the bytes of `exact`, where it can run."""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import ops
from lmmixup.errors import ArgumentError, DataError
from lmmixup.ops import parts, triton

if TYPE_CHECKING:
    from pathlib import Path

knn_module = importlib.import_module("lmmixup.ops.knn")  # `ops.knn` is the function
plain = triton.components


def on_cpu(*args: Any, **kwargs: Any) -> Any:
    return plain(*args, **kwargs, device="cpu", backend="eager")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a GPU were here: the same path on the CPU, in parts that are small."""
    monkeypatch.setattr(triton, "why_not", lambda num_bytes=0: None)
    monkeypatch.setattr(triton, "components", on_cpu)
    monkeypatch.setattr(triton, "ROWS", 64)
    monkeypatch.setattr(parts, "PART", 40)


def batches(num: int, size: int = 50) -> list[pa.RecordBatch]:
    """Records of which some have one text, in several batches."""
    names = [str(at) for at in range(num)]
    texts = [f"p{at * 7919 % 31}" + "x" * (at % 3) for at in range(num)]
    whole = pa.record_batch({"id": names, "prompt": texts, "completion": ["c"] * num})
    return [whole.slice(start, size) for start in range(0, num, size)]


def bunches(num: int, dim: int, seed: int = 0) -> np.ndarray:
    """Vectors of many lengths around a few centres, with copies and zero rows."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(num // 6, 1), dim))
    spread = rng.choice([0.0, 0.1, 0.3, 0.6], (num, 1)) * rng.standard_normal((num, dim))
    vectors = (centres[rng.integers(len(centres), size=num)] + spread) * rng.uniform(0.1, 9)
    vectors[rng.random(num) < 0.05] = 0
    return vectors.astype(np.float32)


def same(vectors: np.ndarray, **options: Any) -> ops.Families:
    """Compares both ways byte for byte and gives what was found."""
    num = len(vectors)
    exact = ops.semantic_families(batches(num), vectors, method="exact", **options)
    found = ops.semantic_families(batches(num), vectors, method="triton", **options)
    for field in fields(found):
        if field.name not in ("figures", "num_families"):
            a, b = (np.asarray(getattr(side, field.name)) for side in (found, exact))
            assert (a.dtype, a.tobytes()) == (b.dtype, b.tobytes()), field.name
    assert found.num_families == exact.num_families
    assert found.figures == {"search": "triton"}
    return found


@settings(deadline=None, max_examples=60)
@given(
    num=st.integers(0, 200), dim=st.integers(1, 70), seed=st.integers(0, 999),
    threshold=st.sampled_from([0.001, 0.3, 0.8, 0.95, 1.0]), keep_one=st.booleans(),
    longest=st.booleans(), frozen=st.integers(0, 60), part=st.sampled_from([1, 40, 4096]),
)  # fmt: skip
def test_has_the_bytes_of_exact(
    num: int, dim: int, seed: int, threshold: float, keep_one: bool, longest: bool, frozen: int,
    part: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    earlier = np.where(rng.random(num) < 0.2, rng.integers(9, size=num), -1)
    rule = ops.KeepRule(
        priority=rng.integers(3, size=num), longest=longest, one=keep_one,
        num_frozen=min(frozen, num),
    )  # fmt: skip
    with (
        mock.patch.multiple(triton, why_not=lambda num_bytes: None, components=on_cpu, ROWS=64),
        mock.patch.object(parts, "PART", part),
    ):
        same(bunches(num, dim, seed), threshold=threshold, rule=rule, earlier=earlier)


@pytest.mark.usefixtures("here")
def test_pairs_at_the_very_threshold() -> None:
    """Cosines of 0.6, 0.8 and 1, which double precision has exactly or a unit beside it."""
    vectors = np.array([[1, 0], [3, 4], [4, 3], [0, 2], [3, 4], [-1, 0], [0, 0]], np.float32)
    for cosine in (0.6, 0.8, 0.96, 1.0):
        for threshold in (np.nextafter(cosine, 0), cosine, np.nextafter(cosine, 2)):
            if threshold <= 1:
                same(vectors, threshold=float(threshold))
    assert same(vectors, threshold=1.0).num_families == 6


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("scale", [1e-14, 1e-7, 1e6, 1e12])
def test_vectors_of_any_length(scale: float) -> None:
    vectors = bunches(150, 40, 5) * np.float32(scale)
    assert same(vectors, threshold=0.9).num_families < 150


@pytest.mark.usefixtures("here")
def test_what_half_precision_rounds_most() -> None:
    """Values that are small beside the greatest become zero, and the bound knows it."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((160, 300)) * 10.0 ** rng.uniform(-8, 0, (160, 300))
    vectors[80:] = vectors[:80] + 0.2 * rng.standard_normal((80, 1)) * vectors[:80].std()
    for threshold in (0.9, 0.99, 0.999):
        same(vectors.astype(np.float32), threshold=threshold)


@pytest.mark.usefixtures("here")
def test_no_pair_is_missed_by_much_or_little() -> None:
    """Pairs a hair above the threshold: the components have them all, and few others."""
    rng = np.random.default_rng(3)
    a = rng.standard_normal((400, 96))
    b = rng.standard_normal((400, 96))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b -= (a * b).sum(1, keepdims=True) * a
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    cosine = 0.95 + np.linspace(-2e-3, 2e-3, 400)[:, None]
    pairs = np.concatenate([a, cosine * a + np.sqrt(1 - cosine**2) * b]).astype(np.float32)
    component_N = on_cpu(pairs, 0.95)
    joined = component_N[400:] == component_N[:400]
    assert joined[cosine[:, 0] >= 0.95].all()
    assert not joined[:100].any()  # a thousandth below it and more
    same(pairs)


@pytest.mark.usefixtures("here")
def test_auto_takes_it_for_large_work_only(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = bunches(60, 8)
    assert ops.semantic_families(batches(60), vectors).figures == {"search": "exact"}
    monkeypatch.setattr(knn_module, "GPU_FROM", 3_599)
    assert ops.semantic_families(batches(60), vectors).figures == {"search": "triton"}


def test_without_a_gpu_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "why_not", lambda num_bytes=0: "torch sees no GPU")
    with pytest.raises(ArgumentError, match="cannot run here: torch sees no GPU; use auto"):
        ops.semantic_families(batches(9), bunches(9, 4), method="triton")
    monkeypatch.setattr(knn_module, "GPU_FROM", 0)
    assert ops.semantic_families(batches(9), bunches(9, 4)).figures == {"search": "exact"}


@pytest.mark.usefixtures("here")
def test_bad_input_is_refused() -> None:
    vectors = bunches(150, 4)
    vectors[133, 2] = np.nan
    with pytest.raises(DataError, match="vectors must be finite, row 133 is not"):
        ops.semantic_families(batches(150), vectors, method="triton")
    vectors[133, 2] = 1e16
    with pytest.raises(DataError, match="no longer than 1e15, row 133 is longer"):
        ops.semantic_families(batches(150), vectors, method="triton")
    good, priority = bunches(20, 4), np.zeros(3, np.int64)
    for options, said in (
        ({"threshold": 0.0}, r"threshold must be in \(0, 1\], got 0.0"),
        ({"earlier": priority}, "expected 20 earlier families, got 3"),
        ({"rule": ops.KeepRule(priority=priority)}, "expected 20 priorities, one a record, got 3"),
    ):
        with pytest.raises(ArgumentError, match=said):
            ops.semantic_families(batches(20), good, method="triton", **options)
    with pytest.raises(ArgumentError, match="expected 3 vectors, one a record, got 20"):
        ops.semantic_families(batches(3), good, method="triton")


@pytest.mark.usefixtures("here")
def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    ops.semantic_families(
        batches(150), bunches(150, 20), method="triton", threshold=0.9,
        on_progress=lambda *args: told.append(args),
    )  # fmt: skip
    assert told[0] == ("compare all pairs on the GPU", 0, 1)
    assert told[-1][0] == "compare within families"
    assert told[-1][1] == told[-1][2] > 1


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("threshold", [0.8, 0.95])
def test_real_vectors(monkeypatch: pytest.MonkeyPatch, shared_data: Path, threshold: float) -> None:
    import pyarrow.parquet as pq

    from lmmixup.embed import embed_texts

    monkeypatch.setattr(parts, "PART", 1000)
    table = pq.read_table(shared_data / "pools" / "pool_t0_train.parquet").slice(0, 10_000)
    rows = table.select(["instruction", "input", "output"]).to_pylist()
    texts = ["\n".join(filter(None, row.values())) for row in rows]
    found = same(embed_texts(texts, "lexical"), threshold=threshold)
    assert 500 < (~found.kept).sum() < 9_500
