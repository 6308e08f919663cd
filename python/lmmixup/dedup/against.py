"""`--against`: what another pool, such as an evaluation set, has in common with this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lmmixup import ops
from lmmixup.dedup.families import TEXT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from lmmixup.dedup.config import DedupConfig
    from lmmixup.pool import Pool
    from lmmixup.stage import StageRun

IN_OTHER = "in the other pool"

AGAINST_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("found", pa.bool_(), nullable=False),
        pa.field("container", pa.string()),
        pa.field("containment", pa.float64(), nullable=False),
        pa.field("nearest", pa.string()),
        pa.field("jaccard", pa.float64(), nullable=False),
    ]
)
"""Columns of `against.parquet`: every record of the other pool, whether it was found, the
record of this pool that has most of its shingles and their share, and the most similar one."""


def remove_matches(run: StageRun, pool: Pool, config: DedupConfig, *, num_threads: int) -> None:
    """Writes the records of a pool that match nothing of another pool, and what matched.

    Args:
        run: The stage's open run.
        pool: The pool that is cleaned.
        config: Names the other pool, the threshold and the containment of a match.
        num_threads: Threads; 0 takes all cores.
    """
    from lmmixup.pool import open_pool  # noqa: PLC0415

    assert config.against is not None  # noqa: S101 the caller looked
    other_ids: list[pa.Array] = []
    ids: list[pa.Array] = []
    other = open_pool([config.against])
    of_other, of_pool = ops.matches(
        _ids_kept(other.batches(TEXT_COLUMNS, num_threads=num_threads), other_ids),
        _ids_kept(pool.batches(TEXT_COLUMNS, num_threads=num_threads, reporter=run.reporter), ids),
        shingle=config.shingle,
        shingle_size=config.shingle_size,
        normalize=config.normalize,
        num_threads=num_threads,
        on_progress=run.reporter,
    )
    pool_ids, names = _joined(ids), _joined(other_ids)
    found, hit = (
        (side.containment >= config.min_containment) | (side.jaccard >= config.threshold)
        for side in (of_other, of_pool)
    )
    _write_clean(run, pool, hit, num_threads)
    _drop_matches(run, pool_ids, names, of_pool, hit)
    columns = [
        names,
        pa.array(found),
        _ids_of(pool_ids, of_other.container),
        pa.array(of_other.containment),
        _ids_of(pool_ids, of_other.nearest),
        pa.array(of_other.jaccard),
    ]
    sink = run.writer("against.parquet", AGAINST_SCHEMA)
    sink.write(pa.RecordBatch.from_arrays(columns, schema=AGAINST_SCHEMA))
    run.counts.input = len(pool_ids) + sum(1 for _ in pool.rejects)
    run.counts.kept = int((~hit).sum())
    run.figures.update(
        other_records=len(names),
        other_found=int(found.sum()),
        share_of_other_found=round(float(found.mean()), 6) if len(found) else 0.0,
        other_rejected=sum(1 for _ in other.rejects),
    )


def _ids_kept(batches: Iterable[pa.RecordBatch], ids: list[pa.Array]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        ids.append(batch.column("id"))
        yield batch


def _joined(parts: list[pa.Array]) -> pa.Array:
    return pa.concat_arrays(parts) if parts else pa.array([], pa.string())


def _ids_of(ids: pa.Array, places: npt.NDArray[np.int32]) -> pa.Array:
    return ids.take(pa.array(places, mask=places < 0))


def _write_clean(run: StageRun, pool: Pool, hit: npt.NDArray[np.bool_], num_threads: int) -> None:
    sink = run.writer("data.parquet", pool.schema)
    start = 0
    for batch in pool.batches(num_threads=num_threads, reporter=run.reporter):
        sink.write(batch.filter(pa.array(~hit[start : start + batch.num_rows])))
        start += batch.num_rows


def _drop_matches(
    run: StageRun, ids: pa.Array, names: pa.Array, matches: ops.Matches, hit: npt.NDArray[np.bool_]
) -> None:
    rows = np.flatnonzero(hit)
    details = [
        f"containment {share:.4f}, Jaccard {jaccard:.4f}"
        for share, jaccard in zip(matches.containment[rows], matches.jaccard[rows], strict=True)
    ]
    run.drop(
        ids.take(pa.array(rows)),
        IN_OTHER,
        against=_ids_of(names, matches.container[rows]),
        details=pa.array(details, pa.string()),
    )
