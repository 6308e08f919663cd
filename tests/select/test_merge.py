"""How many records each side of a merge gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmmixup.errors import ArgumentError, InfeasibleError
from lmmixup.select import SelectConfig
from lmmixup.select.merge import available, wanted

SIDES = ["distilled", "original"]


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [("5:5", (5000, 5000)), ("3:7", (3000, 7000)), ("7:3", (7000, 3000)), ("1:0", (10_000, 0)),
     ("0:10", (0, 10_000)), ("2:6", (2500, 7500))],
)  # fmt: skip
def test_a_ratio_is_kept_exactly(ratio: str, expected: tuple[int, int]) -> None:
    config = SelectConfig(num=10_000, distilled="d", ratio=ratio)
    assert tuple(wanted(config, SIDES).values()) == expected


def test_a_number_that_does_not_split_is_refused_with_its_neighbours() -> None:
    config = SelectConfig(num=1001, distilled="d", ratio="3:7")
    with pytest.raises(ArgumentError, match=r"cannot be 3:7 of whole records; take 1,000 or 1,010"):
        wanted(config, SIDES)


def test_too_few_are_an_error_or_fewer_at_the_same_ratio() -> None:
    config = SelectConfig(num=100, distilled="d", ratio="3:7")
    want = wanted(config, SIDES)
    with pytest.raises(InfeasibleError, match="expected 30 distilled records, got 20"):
        available(config, want, {"distilled": 20, "original": 500})
    fewer = config.model_copy(update={"allow_fewer": True})
    assert available(fewer, want, {"distilled": 20, "original": 500}) == {
        "distilled": 18,
        "original": 42,
    }


@given(
    st.integers(0, 9), st.integers(0, 9), st.integers(0, 500), st.integers(0, 500),
    st.one_of(st.none(), st.integers(1, 40)),
)  # fmt: skip
def test_whatever_there_is_the_ratio_holds(
    a: int, b: int, distilled: int, original: int, units: int | None
) -> None:
    if a + b == 0:
        return
    num = None if units is None else units * (a + b)
    config = SelectConfig(num=num, distilled="d", ratio=f"{a}:{b}", allow_fewer=True)
    take = available(config, wanted(config, SIDES), {"distilled": distilled, "original": original})
    assert take["distilled"] * b == take["original"] * a
    assert take["distilled"] <= distilled
    assert take["original"] <= original
    assert num is None or sum(take.values()) <= num


@pytest.mark.parametrize("ratio", ["5", "a:b", "0:0", "1:2:3", "-1:2", "1.5:2"])
def test_what_is_no_ratio_is_refused(ratio: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        SelectConfig(distilled="d", ratio=ratio)


def test_a_ratio_needs_two_pools() -> None:
    with pytest.raises(ValueError, match="no effect without distilled"):
        SelectConfig(ratio="3:7")
