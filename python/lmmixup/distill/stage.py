"""The stage `distill`: a clustered pool in, one made record for each cluster out."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from lmmixup.distill.chat import ChatMixer
from lmmixup.distill.config import DistillConfig
from lmmixup.distill.cutting import Cutting, cutting_of
from lmmixup.distill.extractive import ExtractiveMixer
from lmmixup.distill.fates import Fates
from lmmixup.distill.files import DistilledFiles
from lmmixup.distill.mixer import Refused
from lmmixup.distill.parts import Parts, check_clustered, count_clusters
from lmmixup.errors import DataError
from lmmixup.llm import Prices, run_async
from lmmixup.pool.spill import spilled
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lmmixup.distill.mixer import Mixed, Mixer
    from lmmixup.pool import Pool

STOP_AFTER = 50
"""Parts without a single record after which no more are tried."""


def run(
    pool: Pool,
    config: DistillConfig | None = None,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Makes one record of each cluster.

    Every record of the pool is either used, and then in `sources` of exactly one made record, or
    leftover with its reason.

    Args:
        pool: Records with a column `cluster`, cluster by cluster: what `lmmixup cluster` writes.
        config: Mixer, lengths, server.
        output: Folder to make.
        overwrite: Replace an output that exists.
        num_threads: Threads that read the pool and check what is made; 0 takes all.
        reporter: Where progress goes.

    Returns:
        The finished folder: `data.parquet` (the made records, canonical, with `sources`,
        `source_names`, `licenses`, `coverage`, `unfounded`, `cluster`, `part`, `mixer`, `think`,
        tokens and cost), `leftover.parquet` (records that went
        into none, with `reason`), `answers.parquet` (a model's answers as they came, where one
        was asked), `dropped.parquet`, `rejects.jsonl`, `manifest.json`.

    Raises:
        ArgumentError: The pool has no column `cluster`.
        DataError: A cluster is in two places, or the first 50 gave no record, unless
            `config.keep_going`.
        LmmixupError: The server cannot be reached, refuses everything, or the cost limit is
            reached. Answers that were paid for are in the cache: the same run goes on from them.
        OutputExistsError: The output exists and `overwrite` is false.

    Notes:
        Streams: memory holds a window of clusters, and two bytes a record. The pool is read
        twice, and its column `cluster` once more, so that progress has a total; one that lmmixup
        did not write is read once, and kept on disk until the run ends.
        A run that was killed and started again ends with the same bytes.

    Source:
        METHOD §1, §3; the mixer `extractive` is ours.
    """
    config = config or DistillConfig()
    with StageRun(
        "distill", output, config=config, pool=pool, overwrite=overwrite, reporter=reporter
    ) as open_run:
        check_clustered(pool)
        records = spilled(pool, open_run.scratch, num_threads=num_threads, reporter=reporter)
        pa.default_memory_pool().release_unused()  # what parsing took, before requests wait
        fates = Fates()
        cutting = cutting_of(config)
        cut = partial(Parts, records, config, cutting=cutting, num_threads=num_threads)
        parts = cut(fates)
        mixer = mixer_of(config, open_run.work, reporter, cutting, num_threads)
        prices = Prices(config.price_in, config.price_out)
        files = DistilledFiles(open_run, mixer.name, fates, prices, num_threads)
        mixing = _mix(
            mixer,
            parts,
            lambda: cut(Fates()),
            files=files,
            config=config,
            progress=_Progress(reporter, count_clusters(records, config.limit, num_threads)),
        )
        run_async(mixing)
        open_run.figures |= {
            "mixer": mixer.name,
            "clusters": parts.num_clusters,
            "clusters_split": parts.num_split,
            "clusters_too_long": parts.num_refused,
            "refused": dict(sorted(files.refused.items())),
            **mixer.figures(),
        }
        files.finish(records)
    return open_run.result


def mixer_of(
    config: DistillConfig,
    work: Path,
    reporter: Reporter,
    cutting: Cutting,
    num_threads: int = 0,
) -> Mixer:
    """The mixer that a config names.

    Args:
        config: The config.
        work: Folder that survives a kill.
        reporter: Where a mixer says what it costs.
        cutting: Has the tokenizer and the library that the mixer shares with it.
        num_threads: Threads of a mixer that computes by itself; 0 takes all.

    Raises:
        LmmixupError: A model or a package is missing.
    """
    if config.path is not None:
        from lmmixup.distill.local import LocalMixer  # noqa: PLC0415

        return LocalMixer(config, work, reporter, cutting.tokenizer)
    if cutting.rater is not None:
        from lmmixup.distill.mergeit import MergeItMixer  # noqa: PLC0415

        return MergeItMixer(config, work, reporter, cutting.rater)
    if config.model is None:
        return ExtractiveMixer(config.max_output_tokens, num_threads)
    return ChatMixer(config, work, reporter)


async def _mix(
    mixer: Mixer,
    parts: Parts,
    again: Callable[[], Parts],
    *,
    files: DistilledFiles,
    config: DistillConfig,
    progress: _Progress,
) -> None:
    num_done = 0
    async with mixer:
        if config.batch and isinstance(mixer, ChatMixer):
            await mixer.fetch(again)
        async with aclosing(mixer.mix(parts)) as all_mixed:
            async for mixed in all_mixed:
                files.add(mixed)
                num_done += 1
                if num_done == STOP_AFTER and not files.num_made and not config.keep_going:
                    raise DataError(_nothing_made(mixed))
                progress.advance(mixed.part.cluster)


class _Progress:
    """Tells how many clusters are done.

    Args:
        reporter: Who is told.
        total: Number of clusters.
    """

    def __init__(self, reporter: Reporter, total: int) -> None:
        self._reporter = reporter
        self._total = total
        self._num_done = 0
        self._last: int | None = None

    def advance(self, cluster: int) -> None:
        """A part of a cluster is done; parts of one cluster come after each other."""
        self._num_done += cluster != self._last
        self._last = cluster
        self._reporter("distill", self._num_done, self._total)


def _nothing_made(mixed: Mixed) -> str:
    result = mixed.result
    why = f"{result.reason}: {result.detail}" if isinstance(result, Refused) else ""
    return (
        f"the first {STOP_AFTER} clusters gave no record; the last one: {why}; look at the mixer, "
        "or go on with keep_going"
    )
