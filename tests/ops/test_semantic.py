"""`ops.semantic_families` against brute force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import ops, reference
from lmmixup.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

IN_ORDER = ops.KeepRule(longest=False)


def batch(num: int, ids: list[int] | None = None) -> pa.RecordBatch:
    """Records whose texts say nothing; those of `ids` in that order."""
    names = [str(number) for number in ids or range(num)]
    return pa.record_batch({"id": names, "prompt": names, "completion": [""] * num})


def bunches(num: int, dim: int, seed: int) -> npt.NDArray[np.float32]:
    """Vectors of many lengths around a few centres, with copies and zero rows."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(num // 6, 1), dim))
    spread = rng.choice([0.0, 0.1, 0.3, 0.6], (num, 1)) * rng.standard_normal((num, dim))
    vectors = (centres[rng.integers(len(centres), size=num)] + spread) * rng.uniform(0.1, 9)
    vectors[rng.random(num) < 0.05] = 0
    return vectors.astype(np.float32)


def labels(found: ops.Families) -> list[int]:
    """Each record's family as the index of its first record."""
    first: dict[int, int] = {}
    for at, family in enumerate(found.family.tolist()):
        first.setdefault(family, at)
    return [first[family] for family in found.family.tolist()]


def same(a: ops.Families, b: ops.Families) -> bool:
    return a.figures == b.figures and all(
        getattr(a, name).tobytes() == getattr(b, name).tobytes()
        for name in ("family", "kept", "partner", "similarity", "same_text")
    )


@settings(deadline=None, max_examples=80)
@given(
    num=st.integers(0, 90),
    dim=st.integers(1, 70),
    threshold=st.sampled_from([0.3, 0.8, 0.9, 0.95]),
    keep_one=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_families_are_those_of_the_reference(
    num: int, dim: int, threshold: float, keep_one: bool, seed: int
) -> None:
    vectors = bunches(num, dim, seed)
    rule = ops.KeepRule(longest=False, one=keep_one)
    options: dict[str, Any] = {"threshold": threshold, "rule": rule}
    found = ops.semantic_families([batch(num)], vectors, num_threads=1, **options)
    first, partner, cosine_NN = reference.semantic_families(vectors, threshold, keep_one=keep_one)
    # Where a cosine is within rounding of the threshold both answers are right.
    if np.abs(cosine_NN - threshold).min(initial=1) < 1e-12:
        return
    assert labels(found) == first
    assert found.partner.tolist() == partner
    for at in np.flatnonzero(~found.kept):
        assert found.similarity[at] == pytest.approx(cosine_NN[at, partner[at]], abs=1e-12)
    for threads in (2, 7):
        other = ops.semantic_families([batch(num)], vectors, num_threads=threads, **options)
        assert same(found, other)


def test_equal_vectors_have_a_cosine_of_one() -> None:
    vectors = bunches(300, 33, 1)
    vectors = np.concatenate([vectors, vectors, vectors * np.float32(2)])
    found = ops.semantic_families([batch(900)], vectors, threshold=1.0, rule=IN_ORDER)
    whole = vectors[:300].any(axis=1)
    assert (found.similarity[300:][np.tile(whole, 2)] == 1.0).all()
    assert found.kept[300:].sum() == 2 * (~whole).sum()


def test_the_families_do_not_depend_on_the_order() -> None:
    vectors = bunches(400, 20, 3)
    order = np.random.default_rng(0).permutation(400)
    found = ops.semantic_families([batch(400)], vectors)
    moved = ops.semantic_families([batch(400, order.tolist())], vectors[order])
    members = {frozenset(np.flatnonzero(found.family == one)) for one in set(found.family)}
    assert members == {frozenset(order[moved.family == one]) for one in set(moved.family)}
    assert set(np.flatnonzero(found.kept)) == set(order[moved.kept])
    assert found.kept.sum() < 300


def test_records_without_text_are_alike_to_nothing() -> None:
    found = ops.semantic_families([batch(5)], np.zeros((5, 3), np.float32), threshold=0.01)
    assert found.num_families == 5
    assert found.kept.all()


def test_a_large_family_is_no_matrix() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal(64) + 0.1 * rng.standard_normal((6000, 64))
    found = ops.semantic_families([batch(6000)], vectors.astype(np.float32), rule=IN_ORDER)
    assert found.num_families == 1
    assert found.kept.sum() == 1


def test_cells_drop_nothing_wrongly_and_say_what_they_miss() -> None:
    vectors = bunches(4000, 24, 7)
    options: dict[str, Any] = {"method": "blocks", "cell_size": 300, "overlap": 2, "seed": 3}
    found = ops.semantic_families([batch(4000)], vectors, num_threads=1, **options)
    assert found.figures["search"] == "blocks"
    assert found.figures["recall_sample"] == 1000
    assert found.figures["pair_recall"] > 0.95
    unit = reference.knn(vectors, 1)  # the nearest of each
    assert (unit[1][~found.kept, 0] >= 0.95 - 1e-6).all()
    rows = np.flatnonzero(~found.kept)
    partner = found.partner[rows]
    assert found.kept[partner].all()
    wide = vectors.astype(np.float64)
    wide[wide.any(axis=1)] /= np.linalg.norm(wide[wide.any(axis=1)], axis=1, keepdims=True)
    cosine = np.einsum("nd,nd->n", wide[rows], wide[partner])
    np.testing.assert_allclose(found.similarity[rows], cosine, atol=1e-12)
    assert (found.similarity[rows] >= 0.95).all()
    for threads in (2, 7):
        other = ops.semantic_families([batch(4000)], vectors, num_threads=threads, **options)
        assert same(found, other)


def test_auto_says_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = bunches(3000, 8, 2)
    assert ops.semantic_families([batch(3000)], vectors).figures == {"search": "exact"}
    monkeypatch.setitem(ops.semantic_families.__globals__, "EXACT_UP_TO", 2999)
    found = ops.semantic_families([batch(3000)], vectors, cell_size=500)
    assert found.figures["search"] == "blocks"


def test_bad_input_is_refused() -> None:
    vectors = bunches(20, 4, 0)
    vectors[13, 2] = np.nan
    with pytest.raises(DataError, match="row 13, column 2"):
        ops.semantic_families([batch(20)], vectors)
    with pytest.raises(ArgumentError, match="expected 3 vectors, one a record, got 20"):
        ops.semantic_families([batch(3)], bunches(20, 4, 0))
    with pytest.raises(DataError, match="float64"):
        ops.semantic_families([batch(2)], np.ones((2, 4)))  # type: ignore[arg-type]
    for options in ({"threshold": 0.0}, {"threshold": 1.1}, {"method": "some"}, {"overlap": 0}):
        with pytest.raises(ArgumentError):
            ops.semantic_families([batch(20)], bunches(20, 4, 0), **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_every_pair_of_a_real_pool_is_found(shared_data: Path) -> None:
    import pyarrow.parquet as pq

    from lmmixup.embed import embed_texts

    table = pq.read_table(shared_data / "pools" / "pool_t0_train.parquet").slice(0, 12_000)
    rows = table.select(["instruction", "input", "output"]).to_pylist()
    texts = ["\n".join(filter(None, row.values())) for row in rows]
    vectors = embed_texts(texts, "lexical")
    found = ops.semantic_families([batch(len(texts))], vectors, rule=IN_ORDER)
    first, partner, _ = reference.semantic_families(vectors, 0.95)
    assert labels(found) == first
    assert found.partner.tolist() == partner
    assert (~found.kept).sum() > 500
