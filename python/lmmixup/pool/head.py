"""The first records of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmmixup.pool.reading import Pool


def head(pool: Pool, num_records: int = 5) -> list[dict[str, Any]]:
    """The first records with their canonical columns.

    Args:
        pool: From `open_pool`.
        num_records: How many, at most.

    Returns:
        Records as plain values.

    Example:
        >>> import pyarrow as pa
        >>> from lmmixup.pool import open_pool
        >>> head(open_pool(pa.table({"prompt": ["1 + 1?"], "completion": ["2"]})))[0]["source"]
        'table'
    """
    names = ["id", "source", "messages", "task_type"]
    records: list[dict[str, Any]] = []
    batches = pool.batches(names, num_threads=1)
    for batch in batches:
        records.extend(batch.slice(0, num_records - len(records)).to_pylist())
        if len(records) >= num_records:
            batches.close()  # type: ignore[attr-defined]  # a generator: stops the threads
            break
    return records
