"""The stage `dedup`: its result folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lmmixup.dedup.against import Compared, remove_matches
from lmmixup.dedup.charts import draw_sizes
from lmmixup.dedup.config import DedupConfig
from lmmixup.dedup.families import families
from lmmixup.dedup.update import Grown
from lmmixup.progress import SILENT, Renamed, Reporter
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from lmmixup.ops import Families
    from lmmixup.pool import Pool

DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near-duplicate"

ADDED = [pa.field("family", pa.int32(), False), pa.field("family_size", pa.int32(), False)]
"""What `data.parquet` has beside the columns that came in."""

FAMILIES_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("family", pa.int32(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("against", pa.string()),
        pa.field("similarity", pa.float64()),
    ]
)
"""Columns of `families.parquet`: a row for every record, in the pool's order."""


def run(
    pool: Pool,
    config: DedupConfig | None = None,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Removes duplicates of a pool and writes the result folder.

    Args:
        pool: From `open_pool`; read twice, for `semantic` as often more as its embedder needs.
        config: See `DedupConfig`.
        output: Folder to make: `data.parquet` (records that stay, with `family` and
            `family_size`), `dropped.parquet`, `families.parquet`, `families.png`; with
            `config.against` `data.parquet`, `dropped.parquet` and `against.parquet`.
        overwrite: Replace an output that exists.
        num_threads: Threads; 0 takes all cores. The files are the same at any number.
        reporter: Where progress goes.

    Returns:
        The finished folder.

    Raises:
        OutputExistsError: The output exists and `overwrite` is false.
        FileError: A file cannot be read or written.
        DataError: A record cannot be used and the pool's options are strict.
        ArgumentError: The config does not fit the pool's columns.

    Source:
        Ours.
    """
    from lmmixup.pool import open_pool  # noqa: PLC0415

    config = config or DedupConfig()
    grown = None if config.update is None else Grown(config, pool)
    compared = None if config.against is None else Compared(pool, open_pool([config.against]))
    with StageRun(
        "dedup",
        output,
        config=config,
        pool=grown or compared or pool,
        overwrite=overwrite,
        reporter=reporter,
    ) as open_run:
        if compared is not None:
            remove_matches(open_run, compared, config, num_threads=num_threads)
        else:
            _keep_one_of_each(open_run, pool, grown, config, num_threads)
    return open_run.result


def _keep_one_of_each(
    run: StageRun, pool: Pool, grown: Grown | None, config: DedupConfig, num_threads: int
) -> None:
    records: Pool | Grown = pool if grown is None else grown
    found = families(
        records,
        config,
        num_threads=num_threads,
        reporter=run.reporter,
        num_frozen=0 if grown is None else grown.num_kept,
        earlier=None if grown is None else grown.families(),
    )
    sizes = np.bincount(found.family, minlength=found.num_families)
    if grown is not None:
        sizes = grown.whole_sizes(found.family, sizes)
    ids = _write_kept(run, records, found, sizes, num_threads)
    _write_families(run, ids, found)
    _write_dropped(run, ids, found)
    run.counts.input = len(ids)
    run.counts.kept = int(found.kept.sum())
    run.figures.update(_figures(found, sizes) | found.figures)
    draw_sizes(sizes, run.folder / "families.png")


def _write_kept(
    run: StageRun,
    records: Pool | Grown,
    found: Families,
    sizes: npt.NDArray[np.int64],
    num_threads: int,
) -> pa.Array:
    names = [field.name for field in ADDED]
    incoming = [field for field in records.schema if field.name not in names]
    schema = pa.schema([*incoming, *ADDED], metadata=records.schema.metadata)
    sink = run.writer("data.parquet", schema)
    ids, start = [], 0
    columns = [field.name for field in incoming]
    writes = Renamed(run.reporter, "write")
    for batch in records.batches(columns, num_threads=num_threads, reporter=writes):
        rows = slice(start, start + batch.num_rows)
        start += batch.num_rows
        family = found.family[rows].astype(np.int32)
        own = [pa.array(family), pa.array(sizes[family].astype(np.int32))]
        whole = pa.RecordBatch.from_arrays([*batch.columns, *own], schema=schema)
        sink.write(whole.filter(pa.array(found.kept[rows])))
        ids.append(batch.column("id"))
    return pa.concat_arrays(ids) if ids else pa.array([], pa.string())


def _write_families(run: StageRun, ids: pa.Array, found: Families) -> None:
    partner = pa.array(found.partner, mask=found.partner < 0)
    columns = [
        ids,
        pa.array(found.family.astype(np.int32)),
        pa.array(found.kept),
        ids.take(partner),
        pa.array(found.similarity, mask=found.kept),
    ]
    sink = run.writer("families.parquet", FAMILIES_SCHEMA)
    sink.write(pa.RecordBatch.from_arrays(columns, schema=FAMILIES_SCHEMA))


def _write_dropped(run: StageRun, ids: pa.Array, found: Families) -> None:
    for reason, chosen in (
        (DUPLICATE, ~found.kept & found.same_text),
        (NEAR_DUPLICATE, ~found.kept & ~found.same_text),
    ):
        rows = np.flatnonzero(chosen)
        details = [f"similarity {value:.4f}" for value in found.similarity[rows]]
        run.drop(
            ids.take(pa.array(rows)),
            reason,
            against=ids.take(pa.array(found.partner[rows])),
            details=pa.array(details, pa.string()),
        )


def _figures(found: Families, sizes: npt.NDArray[np.int64]) -> dict[str, Any]:
    num_records = len(found.kept)
    dropped = found.similarity[~found.kept]
    return {
        "families": int(found.num_families),
        "families_of_several": int((sizes > 1).sum()),
        "largest_family": int(sizes.max(initial=0)),
        "share_dropped": round(len(dropped) / max(num_records, 1), 6),
        "lowest_similarity": round(float(dropped.min()), 6) if len(dropped) else None,
        "sizes": {
            int(size): int(count)
            for size, count in zip(*np.unique(sizes, return_counts=True), strict=True)
        },
    }


__all__ = ["DUPLICATE", "NEAR_DUPLICATE", "run"]
