"""Agreement of raters, beside scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from lmmixup.errors import DataError
from lmmixup.rate import agreement

RATINGS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60)


@given(RATINGS)
def test_is_what_scikit_learn_says(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs).T
    figures = agreement(first, second)
    assert figures["exact"] == pytest.approx((first == second).mean(), abs=1e-6)
    if len({*first, *second}) == 1:
        assert figures["kappa"] is None
        return
    labels = np.arange(6)
    for name, weights in (("kappa", None), ("qwk", "quadratic")):
        theirs = cohen_kappa_score(first, second, labels=labels, weights=weights)
        assert figures[name] == pytest.approx(theirs, abs=1e-5)


def test_by_hand() -> None:
    # Exact 3/4, by chance (1 + 1 + 2)/16: kappa (3/4 - 1/4)/(1 - 1/4).
    # Mean square 1/4, by chance 2.
    assert agreement([0, 1, 2, 2], [0, 1, 2, 3]) == {
        "num_records": 4,
        "exact": 0.75,
        "kappa": pytest.approx(2 / 3, abs=1e-6),
        "qwk": 0.875,
    }


def test_unrated_is_left_out() -> None:
    figures = agreement([1, None, 3, 4], [1, 2, None, 5])
    assert figures["num_records"] == 2
    assert agreement([None], [1]) == {"num_records": 0, "exact": None, "kappa": None, "qwk": None}


def test_what_is_no_rating() -> None:
    with pytest.raises(DataError, match=r"in 0\.\.5"):
        agreement([6], [1])
    with pytest.raises(DataError, match=r"in 0\.\.5"):
        agreement([1.5], [1])
    with pytest.raises(DataError, match=r"two \(N,\) arrays"):
        agreement([1, 2], [1])
