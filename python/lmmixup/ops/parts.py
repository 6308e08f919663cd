"""Families, a part of the pool at a time, where it is known what can be one family.

Shapes: N records, M records in components of several, P parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from lmmixup import _rust
from lmmixup.errors import ArgumentError
from lmmixup.ops.families import Families, KeepRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy.typing as npt

    from lmmixup.ops import OnProgress
    from lmmixup.ops.families import Normalize

    Compare: TypeAlias = Callable[
        [_rust.ExactPool, npt.NDArray[np.int64], dict[str, Any]], Families
    ]
    """Finds the families of a part: its texts, (M,) its rows, and the resolved rule for them."""

PART = 4096
"""Records of a part, before its last component: enough that all threads have work."""


def families_in_parts(
    batches: Iterable[pa.RecordBatch],
    component_N: npt.NDArray[np.int64],
    compare: Compare,
    *,
    normalize: Normalize,
    rule: KeepRule,
    num_threads: int,
    on_progress: OnProgress | None,
) -> Families:
    """Families of records that are compared only within parts of whole components.

    Args:
        batches: Records with string columns `prompt`, `completion` and, for ties, `id`.
        component_N: (N,) a number for each record; those of one family have the same.
        compare: Finds the families of a part.
        normalize: How texts are compared for `same_text`, as in `exact_families`.
        rule: Which records of a family stay.
        num_threads: Threads that read texts; 0 takes all cores.
        on_progress: Called with phase, parts done and all.

    Returns:
        The families, the same as of all pairs: a family is in one part, and of its records only
        their order counts, which a part keeps. A record that is alone in its component stays.

    Raises:
        ArgumentError: Not one component, or one priority, a record.
        DataError: A batch lacks a column.

    Notes:
        32 M bytes of texts' hashes, and what `compare` takes for one part.

    Source:
        Ours.
    """
    num_records = len(component_N)
    part_N = cut(component_N)
    num_parts = int(part_N.max(initial=-1)) + 1
    pools = _read(batches, part_N, num_parts, normalize, num_threads)
    resolved = rule.resolve()
    if resolved["priority"] is not None and len(resolved["priority"]) != num_records:
        raise ArgumentError(
            f"expected {num_records} priorities, one a record, got {len(resolved['priority'])}"
        )
    found = _all_alone(num_records)
    first_N = np.arange(num_records)
    order = np.argsort(part_N, kind="stable")
    ends = np.searchsorted(part_N[order], np.arange(num_parts + 1))
    for part, pool in enumerate(pools):
        rows_M = order[ends[part] : ends[part + 1]]
        _enter(found, first_N, rows_M, compare(pool, rows_M, _rule_of(resolved, rows_M)))
        if on_progress is not None:
            on_progress("compare within families", part + 1, num_parts)
    firsts, family_N = np.unique(first_N, return_inverse=True)
    return Families(
        family_N.astype(np.uint32),
        found.kept,
        found.partner,
        found.similarity,
        found.same_text,
        len(firsts),
    )


def cut(component_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A part for each record, so that components stay whole: (N,) int64, -1 where it is alone.

    Args:
        component_N: (N,) a number for each record.

    Returns:
        Parts of less than `PART` records before their last component.
    """
    _, at_N, sizes = np.unique(component_N, return_inverse=True, return_counts=True)
    several = sizes > 1
    ends = np.cumsum(np.where(several, sizes, 0))
    part = (ends - sizes) // PART
    # numbers without a gap: a component may reach over several
    _, part[several] = np.unique(part[several], return_inverse=True)
    part[~several] = -1
    part_N: npt.NDArray[np.int64] = part[at_N]
    return part_N


def _read(
    batches: Iterable[pa.RecordBatch],
    part_N: npt.NDArray[np.int64],
    num_parts: int,
    normalize: Normalize,
    num_threads: int,
) -> list[_rust.ExactPool]:
    """The texts of each part, of which hashes are kept."""
    pools = [_rust.ExactPool(normalize, lengths=True) for _ in range(num_parts)]
    start = 0
    for batch in batches:
        here = part_N[start : start + batch.num_rows]
        start += batch.num_rows
        for part in np.unique(here[here >= 0]):
            rows = pa.array(np.flatnonzero(here == part))
            pools[part].push(batch.take(rows), num_threads)
    if start != len(part_N):
        raise ArgumentError(f"expected {start} vectors, one a record, got {len(part_N)}")
    return pools


def _rule_of(resolved: dict[str, Any], rows_M: npt.NDArray[np.int64]) -> dict[str, Any]:
    """The rule for some of the records, in their order."""
    priority = resolved["priority"]
    return {
        **resolved,
        "priority": None if priority is None else priority[rows_M],
        "num_frozen": int(np.searchsorted(rows_M, resolved["num_frozen"])),
    }


def _all_alone(num_records: int) -> Families:
    return Families(
        np.zeros(num_records, np.uint32),
        np.ones(num_records, np.bool_),
        np.full(num_records, -1, np.int32),
        np.full(num_records, np.nan),
        np.zeros(num_records, np.bool_),
        num_records,
    )


def _enter(
    found: Families, first_N: npt.NDArray[np.int64], rows_M: npt.NDArray[np.int64], part: Families
) -> None:
    """Writes what became of a part's records to their places in the pool."""
    _, first_of_family = np.unique(part.family, return_index=True)
    first_N[rows_M] = rows_M[first_of_family[part.family]]
    found.kept[rows_M] = part.kept
    found.partner[rows_M] = np.where(part.kept, -1, rows_M[part.partner])
    found.similarity[rows_M] = part.similarity
    found.same_text[rows_M] = part.same_text
