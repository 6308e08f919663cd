"""How long to wait."""

from __future__ import annotations

import pytest

from lmmixup.llm.request import Failure
from lmmixup.llm.retry import LONGEST_WAIT_S, CallError, retry_after_s, wait_s


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 60.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_what_the_server_asks_for(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(headers, now_s=40) == expected


def test_waits_grow_and_differ_and_give_way_to_the_server() -> None:
    error = CallError(Failure("status 500", ""), may_pass=True)
    for number in range(2000):
        bound = min(LONGEST_WAIT_S, 0.5 * 2 ** min(number, 10))
        assert 0 < wait_s(error, number) <= bound
    assert len({wait_s(error, 3) for _ in range(20)}) > 15
    error.retry_after_s = 7.0
    assert wait_s(error, 0) == 7.0
