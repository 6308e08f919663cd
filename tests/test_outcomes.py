"""Outcomes that do not sum to the input stop the stage."""

from __future__ import annotations

import pytest

from lmmixup.errors import CountsError
from lmmixup.outcomes import Counts

WHOLE = {"kept": 5, "used": 4, "leftover": 3, "dropped": {"near": 2, "exact": 1},
         "rejected": {"json": 6}}  # fmt: skip


def test_every_outcome_counts_and_made_records_do_not() -> None:
    Counts(input=21, **WHOLE, made=100).check()


@pytest.mark.parametrize("num_input", [20, 22])
def test_one_too_few_or_too_many_is_an_error(num_input: int) -> None:
    with pytest.raises(CountsError, match=rf"^{num_input} records came in but 21 have an outcome"):
        Counts(input=num_input, **WHOLE).check()


def test_reasons_are_in_order() -> None:
    assert list(Counts(**WHOLE).to_dict()["dropped"]) == ["exact", "near"]
