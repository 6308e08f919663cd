"""Columns of a stage beside those of the pool."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lmmixup.pool import open_pool, widen
from lmmixup.pool.layout import canonical_layout

ADDED = pa.schema([pa.field("rating", pa.int8()), pa.field("judge", pa.string())])


def pool(**columns: list[object]) -> pa.Table:
    return pa.table({"prompt": ["q"], "completion": ["a"], **columns})


def test_nothing_in_the_way() -> None:
    layout = open_pool(pool(extra=[1])).layout()
    widened = widen(layout, ADDED)
    assert widened.schema.names == [*layout.schema.names, "rating", "judge"]
    assert widened.sources == tuple(layout.schema.names)
    assert widened.replaced == ()


@pytest.mark.parametrize(
    "taken", [(), ("original_rating",), ("original_rating", "original_rating_")]
)
def test_the_users_column_moves_and_is_found_again(taken: tuple[str, ...]) -> None:
    opened = open_pool(pool(rating=["good"], **{name: ["x"] for name in taken}))
    widened = widen(opened.layout(), ADDED)
    moved = "original_rating" + "_" * len(taken)
    assert set(widened.schema.names) >= {moved, "rating", *taken}
    records = next(opened.batches())
    joined = widened.join(records, [pa.array([4], pa.int8()), pa.array(["m"])])
    assert joined.column(moved).to_pylist() == ["good"]
    assert joined.column("rating").to_pylist() == [4]
    layout = canonical_layout(joined.schema)
    assert layout is not None
    assert {one.name: one.column for one in layout.originals}["rating"] == moved


def test_an_earlier_stages_column_gives_way() -> None:
    opened = open_pool(pool())
    first = widen(opened.layout(), ADDED)
    layout = canonical_layout(first.schema)
    assert layout is not None
    again = widen(layout, ADDED)
    assert again.replaced == ("rating", "judge")
    assert again.schema.names == first.schema.names
