"""Ratings as numbers: one way to read a rating column, with unrated as NaN and never a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmmixup.errors import ArgumentError, DataError

if TYPE_CHECKING:
    import numpy.typing as npt


def check_rating(name: str, schema: pa.Schema, option: str = "--rating") -> None:
    """Looks whether a pool has a column of numbers.

    Args:
        name: Name of the column.
        schema: The pool's columns.
        option: What the message calls it.

    Raises:
        ArgumentError: There is no such column, or it does not hold numbers.
    """
    if name not in schema.names:
        hint = "; `lmmixup rate` makes ratings" if option == "--rating" else ""
        raise ArgumentError(
            f"{option}: expected one of the columns {', '.join(schema.names)}, got {name!r}{hint}"
        )
    kind = schema.field(name).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ArgumentError(f"{option}: column {name!r} must hold numbers, got {kind}")


def ratings_of(column: pa.Array | pa.ChunkedArray, name: str) -> npt.NDArray[np.float64]:
    """The ratings of a column.

    Args:
        column: (N,) numbers, null where a record is unrated.
        name: What messages call it.

    Returns:
        (N,) float64, NaN where a record is unrated.

    Raises:
        DataError: A rating is infinite; names the row.

    Source:
        Ours.

    Example:
        >>> ratings_of(pa.array([3, None]), "rating")
        array([ 3., nan])
    """
    wide = pc.fill_null(pc.cast(column, pa.float64()), float("nan"))
    ratings = np.asarray(
        wide.to_numpy(zero_copy_only=False) if isinstance(wide, pa.Array) else wide.to_numpy()
    )
    endless = np.isinf(ratings)
    if endless.any():
        row = int(np.argmax(endless))
        raise DataError(
            f"column {name!r}: row {row}: expected a finite rating or null, got {ratings[row]}"
        )
    return ratings
