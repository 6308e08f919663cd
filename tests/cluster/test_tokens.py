"""Tokens of records: of a column as they are, of texts by their bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lmmixup.cluster.tokens import count_tokens
from lmmixup.errors import DataError
from lmmixup.pool import open_pool


def test_four_bytes_are_a_token_and_the_newline_one_more() -> None:
    texts = {"prompt": ["", "abcd", "abcde", "é" * 4], "completion": ["", "", "", "abcd"]}
    tokens = count_tokens(open_pool(pa.table(texts)), None)
    assert tokens.tolist() == [1, 2, 3, 4]
    assert tokens.dtype == np.uint32


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["1", "2"], "whole number of tokens"),
        ([1.0, 2.0], "whole number of tokens"),
        ([1, None], "1 nulls"),
        ([1, -1], r"in 0..2\^32 - 1, got -1..1"),
        ([1, 2**32], r"in 0..2\^32 - 1, got 1..4294967296"),
    ],
)
def test_a_bad_column_is_refused(values: list[object], said: str) -> None:
    table = pa.table({"prompt": ["p", "q"], "completion": ["c", "d"], "size": values})
    with pytest.raises(DataError, match=said):
        count_tokens(open_pool(table), "size")
    assert count_tokens(open_pool(table.set_column(2, "size", [[3, 2**32 - 1]])), "size").tolist() \
        == [3, 2**32 - 1]  # fmt: skip
