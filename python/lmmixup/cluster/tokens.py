"""Tokens of records: what `max_cluster_tokens` adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmmixup.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmmixup.pool import Pool

BYTES_PER_TOKEN = 4
"""UTF-8 bytes that count as one token where no column has the tokens."""


def count_tokens(pool: Pool, column: str | None) -> NDArray[np.uint32]:
    """Tokens of each record: a column of the pool, or an estimate from bytes.

    Args:
        pool: The records; only the column or their texts are read.
        column: Name of the column; `None` estimates.

    Returns:
        (N,) uint32.

    Raises:
        DataError: The column is missing, not of whole numbers, has nulls or negative numbers.

    Source:
        Ours.
    """
    if column is None:
        counted = [_estimate(batch) for batch in pool.batches(["prompt", "completion"])]
    else:
        names = pool.schema.names
        if column not in names:
            raise DataError(f"the pool has no column {column!r}; it has {', '.join(names)}")
        counted = [_read(batch.column(column), column) for batch in pool.batches([column])]
    return np.concatenate([*counted, np.zeros(0, np.uint32)])


def _estimate(texts: pa.RecordBatch) -> NDArray[np.uint32]:
    num_bytes = sum(_array(pc.binary_length(column)).astype(np.int64) for column in texts.columns)
    # one more for the newline between the two
    return (np.asarray(-(-num_bytes // BYTES_PER_TOKEN)) + 1).astype(np.uint32)


def _read(values: pa.Array, name: str) -> NDArray[np.uint32]:
    if not pa.types.is_integer(values.type) or values.null_count:
        raise DataError(
            f"{name!r} must hold a whole number of tokens for each record, got {values.type} "
            f"with {values.null_count} nulls"
        )
    tokens = _array(values).astype(np.int64)
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < 2**32:
        raise DataError(f"{name!r} must be in 0..2^32 - 1, got {tokens.min()}..{tokens.max()}")
    return tokens.astype(np.uint32)


def _array(values: pa.Array) -> NDArray[Any]:
    return np.asarray(values.to_numpy(zero_copy_only=False))
