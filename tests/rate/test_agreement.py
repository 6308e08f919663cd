"""Agreement of two raters, beside scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from lmmixup.rate.agreement import AgreementTable

RATINGS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60)


def figures(pairs: list[tuple[int, int]]) -> dict[str, float | int | None]:
    table = AgreementTable()
    for first, second in pairs:
        table.add(first, second)
    return table.figures()


@given(RATINGS)
def test_is_what_scikit_learn_says(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs).T
    found = figures(pairs)
    assert found["exact"] == pytest.approx((first == second).mean(), abs=1e-6)
    if len({*first, *second}) == 1:
        assert found["kappa"] is None
        return
    labels = np.arange(6)
    for name, weights in (("kappa", None), ("qwk", "quadratic")):
        theirs = cohen_kappa_score(first, second, labels=labels, weights=weights)
        assert found[name] == pytest.approx(theirs, abs=1e-5)


def test_by_hand() -> None:
    # Exact 3/4, by chance (1 + 1 + 2)/16: kappa (3/4 - 1/4)/(1 - 1/4).
    # Mean square 1/4, by chance 2.
    assert figures([(0, 0), (1, 1), (2, 2), (2, 3)]) == {
        "num_records": 4,
        "exact": 0.75,
        "kappa": pytest.approx(2 / 3, abs=1e-6),
        "qwk": 0.875,
    }


def test_nothing_in_common_has_no_agreement() -> None:
    assert figures([]) == {"num_records": 0, "exact": None, "kappa": None, "qwk": None}
