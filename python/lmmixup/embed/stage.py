"""The stage: a pool in, its records and vectors out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmmixup.embed.config import EmbedConfig
from lmmixup.embed.heart import embed_pool
from lmmixup.embed.vectors import write_vectors
from lmmixup.pool.spill import spilled
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.pool import Pool


def run(
    pool: Pool,
    config: EmbedConfig | None = None,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Embeds a pool and writes a result folder.

    `vectors.npy` has one row a record of `data.parquet`, in its order; with `--dtype i8` the
    scales of the rows are in `scales.npy`. `read_vectors` reads both back as float32.

    Args:
        pool: The records.
        config: Which embedder, and how its vectors are stored.
        output: Folder to make.
        overwrite: Replace an output that exists.
        num_threads: Threads; 0 takes all. The vectors do not depend on it.
        reporter: Where progress goes.

    Returns:
        The folder and its manifest; `figures.identity` says what made the vectors.

    Raises:
        OutputExistsError: The output exists and `overwrite` is false.
        DataError: Given vectors do not fit the pool.
        LmmixupError: A model is missing, or a server failed for good.

    Source:
        Ours.
    """
    config = config or EmbedConfig()
    with StageRun(
        "embed", output, config=config, pool=pool, overwrite=overwrite, reporter=reporter
    ) as open_run:
        records = spilled(pool, open_run.scratch, num_threads=num_threads, reporter=reporter)
        embedded = embed_pool(records, config, num_threads=num_threads, reporter=reporter)
        sink = open_run.writer("data.parquet", records.schema)
        for batch in records.batches():
            sink.write(batch)
        write_vectors(embedded.vectors_ND, open_run.folder, config.dtype)
        num_zero = int((~embedded.vectors_ND.any(axis=1)).sum()) if len(embedded.ids) else 0
        open_run.counts.kept = sink.num_rows
        open_run.counts.input = len(embedded.ids)
        open_run.figures = {
            "embedder": str(embedded.identity["embedder"]),
            "dimensions": int(embedded.vectors_ND.shape[1]),
            "dtype": config.dtype,
            "records_without_text": num_zero,
            "identity": embedded.identity,
        }
    return open_run.result
