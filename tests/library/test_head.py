"""The head: the same weights however the ridge is solved."""

from __future__ import annotations

import numpy as np
import pytest

from lmmixup.library import head
from lmmixup.library.head import draw_folds, fit_head


@pytest.mark.parametrize(("num_records", "dim"), [(40, 30), (66, 30), (90, 30), (7, 8)])
def test_few_records_and_many_are_solved_alike(
    num_records: int, dim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(num_records)
    vectors = rng.standard_normal((num_records, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    num_bytes = rng.integers(0, 900, (num_records, 2))
    ratings = rng.integers(0, 6, num_records)
    folds = draw_folds(num_records, 0)
    made = {}
    for solver in (head._ManyRows, head._FewRows):
        for name in ("_ManyRows", "_FewRows"):
            monkeypatch.setattr(head, name, solver)
        made[solver] = fit_head(vectors, num_bytes, ratings, folds)
        monkeypatch.undo()
    (many, many_predicted), (few, few_predicted) = made.values()
    assert many.penalty == few.penalty
    np.testing.assert_allclose(few.weights_F, many.weights_F, atol=1e-6)
    np.testing.assert_allclose(few_predicted, many_predicted, atol=1e-6)


def test_few_records_do_not_hold_the_products_of_all_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head, "_ManyRows", None)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((50, 2048)).astype(np.float32)
    fitted, predicted = fit_head(
        vectors, rng.integers(0, 99, (50, 2)), rng.integers(0, 6, 50), draw_folds(50, 0)
    )
    assert fitted.weights_F.shape == (4103,)
    assert predicted.shape == (50,)
