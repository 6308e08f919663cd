"""The stage `pool`: any files in, the canonical form out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import StageConfig, StageResult, StageRun

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.pool.reading import Pool


class PoolConfig(StageConfig):
    """Nothing of its own: how files are read is in `PoolOptions`."""


def run(
    pool: Pool,
    config: PoolConfig | None = None,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Writes a pool in canonical form, so that later stages read it as it is.

    Args:
        pool: From `open_pool`.
        config: Has no fields yet.
        output: Folder to make: `data.parquet`, `rejects.jsonl`, `manifest.json`.
        overwrite: Replace an output that exists.
        num_threads: Threads that read; 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        The finished folder.

    Raises:
        OutputExistsError: The output exists and `overwrite` is false.
        FileError: A file cannot be read or written.
        DataError: A record cannot be used and the pool's options are strict.

    Notes:
        Two passes over text files (column types, then records), in bounded memory. The same
        bytes at any number of threads.

    Source:
        Ours.
    """
    with StageRun(
        "pool",
        output,
        config=config or PoolConfig(),
        pool=pool,
        overwrite=overwrite,
        reporter=reporter,
    ) as open_run:
        reporter.note(f"schema: {pool.schema_name}")
        layout = pool.layout(num_threads, reporter)
        sink = open_run.writer("data.parquet", layout.schema)
        empty = {"prompt": 0, "completion": 0}
        for batch in pool.batches(num_threads=num_threads, reporter=reporter):
            sink.write(batch)
            open_run.counts.input += batch.num_rows
            for name in empty:
                is_empty = pc.equal(pc.binary_length(batch.column(name)), 0)
                empty[name] += pc.sum(is_empty).as_py() or 0
        open_run.counts.kept = sink.num_rows
        open_run.figures.update(
            schema=layout.schema_name,
            empty_prompts=empty["prompt"],
            empty_completions=empty["completion"],
        )
    return open_run.result
