"""The stage `mixture`: plain texts in, the training set of a mixer out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup.llm import run_async
from lmmixup.mixture.build import Builder
from lmmixup.mixture.card import write_card
from lmmixup.mixture.chat import ChatTeacher
from lmmixup.mixture.config import MixtureConfig
from lmmixup.mixture.croissant import write_croissant
from lmmixup.mixture.libraries import LibraryRecords, build_libraries
from lmmixup.mixture.split import PARTS, TRAINING, split_articles
from lmmixup.mixture.teacher import RulesTeacher
from lmmixup.mixture.texts import read_texts
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.mixture.teacher import Teacher
    from lmmixup.mixture.texts import Texts
    from lmmixup.pool import Pool

NO_SAMPLE = "no-sample"


def run(
    pool: Pool,
    config: MixtureConfig | None = None,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Builds a MIXTURE: clusters of records of low quality, each with one of high quality.

    Args:
        pool: The texts, as `open_texts` opens them.
        config: Teacher, task types, variants, noise, fusion, split, libraries.
        output: Folder to make.
        overwrite: Replace an output that exists.
        num_threads: Threads of what is compiled; 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        The finished folder: `cold_start.parquet`, `rl.parquet`, `validation.parquet`,
        `test.parquet` (a sample a row), `edits.parquet` (each typing error), `answers.parquet` (a
        model's answers as they came, where one was asked), `library/TASK_TYPE/`, `README.md` (the
        data-set card), `croissant.json`, `dropped.parquet`, `rejects.jsonl`, `manifest.json`.

    Raises:
        LmmixupError: The server cannot be reached, refuses everything, or the cost limit is
            reached. Answers that were paid for are in the cache: the same run goes on from them.
        OutputExistsError: The output exists and `overwrite` is false.

    Notes:
        Holds the texts, and the samples of one part. A run that was killed and started again
        ends with the same bytes.

    Source:
        METHOD §2; the rules are ours.
    """
    config = config or MixtureConfig()
    with StageRun(
        "mixture", output, config=config, pool=pool, overwrite=overwrite, reporter=reporter
    ) as open_run:
        texts = read_texts(pool, config, num_threads=num_threads, reporter=reporter)
        teacher = teacher_of(config, open_run.work, reporter)
        builder = Builder(config, teacher, open_run, num_threads=num_threads)
        records = LibraryRecords(config)
        run_async(_build(builder, teacher, texts, records, config))
        made = {part: dict(builder.tallies[part].made) for part in PARTS}
        figures = _figures(texts, builder, teacher, made)
        if config.library:
            found = build_libraries(open_run, records, config, num_threads=num_threads)
            figures["library"] = found
            for kind, one in found.items():
                figures[f"qwk_{kind}"] = one["qwk"]
                figures[f"qwk_{kind}_length_matched"] = one["qwk_matched"]
        open_run.figures |= figures
        _account(open_run, texts, builder)
        open_run.close_writers()
        write_card(open_run.folder, config, made, figures.get("library", {}))
        write_croissant(open_run.folder, config, made)
    return open_run.result


def teacher_of(config: MixtureConfig, work: Path, reporter: Reporter) -> Teacher:
    """The teacher that a config names.

    Args:
        config: The config.
        work: Folder that survives a kill.
        reporter: Where a teacher says what it costs.
    """
    return RulesTeacher(config) if config.model is None else ChatTeacher(config, work, reporter)


async def _build(
    builder: Builder, teacher: Teacher, texts: Texts, records: LibraryRecords, config: MixtureConfig
) -> None:
    part_of = split_articles(texts.articles, config)
    async with teacher:
        for part in PARTS:
            rows = [at for at, article in enumerate(texts.articles) if part_of[article] == part]
            made = await builder.build(
                part, [texts.passages[at] for at in rows], [texts.articles[at] for at in rows]
            )
            if part in TRAINING:
                records.add(made)


def _figures(
    texts: Texts, builder: Builder, teacher: Teacher, made: dict[str, dict[str, int]]
) -> dict[str, Any]:
    tallies = builder.tallies.values()
    refused: dict[str, Counter[str]] = {}
    for tally in tallies:
        for kind, reasons in tally.refused.items():
            refused.setdefault(kind, Counter()).update(reasons)
    return {
        "teacher": teacher.name,
        "passages": len(texts.passages),
        "passages_too_short": texts.num_short,
        "articles": len(set(texts.articles)),
        **{part: sum(made[part].values()) for part in PARTS},
        "samples_fused": sum(one.num_fused for one in tallies),
        "samples_too_long": sum(one.num_too_long for one in tallies),
        "variants_left_out": sum(one.num_left_out for one in tallies),
        "samples": made,
        "refused": {kind: dict(sorted(n.items())) for kind, n in refused.items()},
        **teacher.figures(),
    }


def _account(run: StageRun, texts: Texts, builder: Builder) -> None:
    """Gives each text its outcome."""
    dropped: dict[str, list[int]] = {}
    for place, text_id in enumerate(texts.ids):
        if place in texts.outcomes:
            dropped.setdefault(texts.outcomes[place], []).append(place)
        elif text_id in builder.used:
            run.counts.used += 1
        else:
            dropped.setdefault(NO_SAMPLE, []).append(place)
    for reason, places in sorted(dropped.items()):
        run.drop(
            pa.array([texts.ids[place] for place in places], pa.string()),
            reason,
            against=pa.array([texts.against.get(place) for place in places], pa.string()),
        )
    run.counts.input = len(texts.ids)
    run.counts.made = sum(one.made.total() for one in builder.tallies.values())
