"""The stage `split`: one rated pool in, three pools out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lmmixup.errors import DataError
from lmmixup.progress import SILENT, Reporter
from lmmixup.ratings import check_rating, ratings_of
from lmmixup.split.config import SplitConfig
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from lmmixup.pool import Pool

PARTS = ("high", "low", "unrated")
"""Folders of the output; each is a pool."""


def run(
    pool: Pool,
    config: SplitConfig | None = None,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Splits a rated pool into records of high quality, of low quality, and unrated ones.

    Args:
        pool: The records; streamed.
        config: The rating column and where to cut.
        output: Folder to make: `high/data.parquet`, `low/data.parquet`, `unrated/data.parquet`.
        overwrite: Replace an output that exists.
        num_threads: Threads that read; 0 takes all cores. The files do not depend on it.
        reporter: Where progress goes.

    Returns:
        The finished folder; `open_pool(output / "low")` is the low part.

    Raises:
        ArgumentError: The rating column is not there or holds no numbers.
        DataError: A rating is infinite, or there are no records.
        OutputExistsError: The output exists and `overwrite` is false.

    Notes:
        All three pools are written; one or two may be empty. Memory holds a few batches.

    Source:
        Ours; METHOD §1.
    """
    config = config or SplitConfig()
    check_rating(config.rating, pool.schema)
    with StageRun(
        "split", output, config=config, pool=pool, overwrite=overwrite, reporter=reporter
    ) as open_run:
        sinks = [open_run.writer(f"{part}/data.parquet", pool.schema) for part in PARTS]
        least, most = np.inf, -np.inf
        for batch in pool.batches(num_threads=num_threads, reporter=reporter):
            ratings_N = ratings_of(batch.column(config.rating), config.rating)
            least = np.fmin.reduce(ratings_N, initial=least)
            most = np.fmax.reduce(ratings_N, initial=most)
            parts = part_of(ratings_N, config)
            open_run.counts.input += batch.num_rows
            for part, sink in enumerate(sinks):
                sink.write(batch.filter(pa.array(parts == part)))
        open_run.figures.update(
            {part: sink.num_rows for part, sink in zip(PARTS, sinks, strict=True)}
        )
        open_run.counts.kept = sum(sink.num_rows for sink in sinks)
        if open_run.counts.input == 0:
            raise DataError("expected records to split, got none")
        reporter.note(_where_cut(config, sinks[0].num_rows, open_run.counts.kept, least, most))
    return open_run.result


def _where_cut(config: SplitConfig, high: int, total: int, least: float, most: float) -> str:
    """What counts as high, in one sentence, and the ratings where the cut is outside of them."""
    if least > most:
        return f"no record has a rating in {config.rating!r}"
    said = f"high is {config.rating} of {config.at:g} and more: {high:,} of {total:,} records"
    if least < config.at <= most:
        return said
    return f"{said}; {config.rating} goes from {least:g} to {most:g}, so --at cuts off nothing"


def part_of(ratings_N: npt.NDArray[np.float64], config: SplitConfig) -> npt.NDArray[np.int8]:
    """The place in `PARTS` of each record.

    Args:
        ratings_N: (N,) ratings, NaN where unrated.
        config: Where to cut, and where unrated records go.

    Returns:
        (N,) int8 in 0..2.

    Example:
        >>> part_of(np.array([4.0, 3.9, np.nan]), SplitConfig()).tolist()
        [0, 1, 2]
    """
    parts = np.where(ratings_N >= config.at, 0, 1).astype(np.int8)
    parts[np.isnan(ratings_N)] = {"apart": 2, "high": 0, "low": 1}[config.unrated]
    return parts
