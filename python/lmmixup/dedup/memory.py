"""Duplicates among records in memory, without files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lmmixup import ops
from lmmixup.dedup.families import families
from lmmixup.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from lmmixup.dedup.config import DedupConfig


@dataclass(frozen=True)
class Duplicate:
    """A record that was dropped.

    Attributes:
        record: Its place in the input.
        kept: The place of the kept record that it lost against.
        similarity: That of the two: Jaccard, or for `semantic` the cosine.
    """

    record: int
    kept: int
    similarity: float


@dataclass(frozen=True)
class Deduplicated:
    """What stays of records, and what became of the others.

    Attributes:
        kept: (K,) int64, places of the records that stay, ascending.
        dropped: The others, ascending.
        families: The same as arrays of one entry a record, with the families.
    """

    kept: npt.NDArray[np.int64]
    dropped: list[Duplicate]
    families: ops.Families


def deduplicate(
    records: Sequence[str] | Sequence[Mapping[str, Any]] | pa.Table,
    config: DedupConfig | None = None,
    *,
    num_threads: int = 0,
) -> Deduplicated:
    """Finds duplicates among records in memory.

    Args:
        records: Texts; or dicts, or an Arrow table, in any schema that `open_pool` detects.
        config: As of the stage; the defaults find every pair at Jaccard >= 0.7 over word
            5-grams. `against` and `update` belong to the stage and are not looked at.
        num_threads: Threads; 0 takes all cores. The result is the same at any number.

    Returns:
        Places of the records that stay; for each other one the kept record and the similarity.

    Raises:
        DataError: A record cannot be used (names its row), or the schema is not known.
        ArgumentError: The config does not fit the records.

    Notes:
        `families` is the same for a pool of files, and says what time and memory it takes.

    Source:
        Ours.

    Example:
        >>> from lmmixup import deduplicate
        >>> found = deduplicate(["one two three", "four five", "One  two three"])
        >>> found.kept.tolist(), [(d.record, d.kept, d.similarity) for d in found.dropped]
        ([1, 2], [(0, 2, 1.0)])
    """
    from lmmixup.pool import PoolOptions, open_pool  # noqa: PLC0415  slow, and a user of this

    table = records if isinstance(records, pa.Table) else _table(records)
    if len(table) == 0:
        found = ops.exact_families([])
    else:
        # A record that was set aside would shift the places of those behind it.
        pool = open_pool(table, PoolOptions(strict=True))
        found = families(pool, config, num_threads=num_threads)
    dropped = [
        Duplicate(int(row), int(found.partner[row]), float(found.similarity[row]))
        for row in np.flatnonzero(~found.kept)
    ]
    return Deduplicated(np.flatnonzero(found.kept), dropped, found)


def _table(records: Sequence[str] | Sequence[Mapping[str, Any]]) -> pa.Table:
    rows = [record for record in records if not isinstance(record, str)]
    if not rows:
        return pa.table(
            {
                "prompt": pa.array(records, pa.string()),
                "completion": pa.array([""] * len(records), pa.string()),
            }
        )
    if len(rows) < len(records):
        raise DataError("records must be all texts or all dicts, got both")
    # Of all records: Arrow itself takes the columns that the first one has.
    names = dict.fromkeys(name for record in rows for name in record)
    columns = {}
    for name in names:
        try:
            columns[name] = pa.array([record.get(name) for record in rows])
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(f"column {name!r}: expected values of one kind, got {error}") from error
    return pa.table(columns)
