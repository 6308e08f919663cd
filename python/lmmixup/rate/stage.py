"""The stage `rate`: a pool in, the same records with ratings out."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from lmmixup.errors import DataError, LmmixupError
from lmmixup.llm import (
    Answer,
    Batches,
    Bill,
    ChatRequest,
    Client,
    answers,
    open_cache,
    run_async,
    with_progress,
)
from lmmixup.progress import SILENT, Reporter
from lmmixup.rate import knn_bayes
from lmmixup.rate.files import RatedFiles
from lmmixup.rate.judges import Panel
from lmmixup.rate.prompt import judge_messages, judge_request
from lmmixup.rate.rows import Judged, Reading
from lmmixup.rate.rubric import load_rubrics, rubric_for
from lmmixup.rate.tally import Tally
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    import pyarrow as pa

    from lmmixup.llm import Outcome
    from lmmixup.pool import Pool
    from lmmixup.rate.config import RateConfig
    from lmmixup.rate.rubric import Rubric

STOP_AFTER = 50
"""Records without a single rating after which no more are paid for."""

SHOWN_CHARS = 200
"""Characters of an answer that a message repeats."""


def run(
    pool: Pool,
    config: RateConfig,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Rates a pool by judges, or by a library (`rate.knn_bayes.run`).

    Every record stays. One that got no rating has null in `rating` and says why in
    `rating_reason`; it never gets a number instead.

    Args:
        pool: The records.
        config: Judges, rubric, server.
        output: Folder to make.
        overwrite: Replace an output that exists.
        num_threads: Threads that read the pool; 0 takes all.
        reporter: Where progress goes, with tokens and cost.

    Returns:
        The finished folder: `data.parquet` (all records with `rating` 0..5, `rating_reason`, the
        scores 1..10, `judge`, `num_ratings`, and with several judges `rating_NAME` and
        `overall_NAME` of each), `answers.parquet` (every answer as it came), `dropped.parquet`,
        `rejects.jsonl`, `manifest.json`.

    Raises:
        LmmixupError: The server cannot be reached, refuses everything, or the cost limit is
            reached. Answers that were paid for are in the cache: the same run goes on from them.
        DataError: The first 50 records got no rating, unless `config.keep_going`.
        FileError: The cache or the rubric cannot be used.
        OutputExistsError: The output exists and `overwrite` is false.

    Notes:
        Streams: memory holds a window of records, however many there are. A run that was
        killed and started again sends no answered request twice and ends with the same bytes.

    Source:
        METHOD §4; DS2 (arXiv 2410.10877) for the four respects.
    """
    if (by_library := config.by_library()) is not None:
        return knn_bayes.run(
            pool,
            by_library,
            output=output,
            overwrite=overwrite,
            num_threads=num_threads,
            reporter=reporter,
        )
    with StageRun(
        "rate", output, config=config, pool=pool, overwrite=overwrite, reporter=reporter
    ) as open_run:
        run_async(_Rating(pool, config, open_run, num_threads).finish())
    return open_run.result


class _Rating:
    """One run: questions go out record by record, rows come back in the same order."""

    def __init__(self, pool: Pool, config: RateConfig, run: StageRun, num_threads: int) -> None:
        self._pool = pool
        self._config = config
        self._run = run
        self._num_threads = num_threads
        self._reporter = run.reporter
        self._rubrics = load_rubrics(config.rubric)
        self._bill = Bill.of(config)

    async def finish(self) -> None:
        """Rates all records and fills the run's files, counts and figures."""
        with open_cache(self._config.cache, self._run.work) as cache:
            panel = Panel(self._config, cache, self._bill, self._reporter)
            tally = Tally([judge.name for judge in panel.judges], self._config.judge_repeat)
            try:
                async with panel:
                    if self._config.batch:
                        await self._ask_batches(panel)
                    await self._rate(panel, tally)
            except LmmixupError as error:
                raise with_progress(error, tally.num_records, "records", str(cache.path)) from error
        run = self._run
        run.counts.kept = tally.num_records
        run.figures = {**tally.figures(), "rubrics": self._rubric_digests()}
        self._reporter.note(f"this run: {self._bill.summary(panel.num_reused)}")
        for sentence in tally.sentences():
            self._reporter.note(sentence)
        if warning := tally.warning():
            self._reporter.note(warning)

    def _rubric_digests(self) -> dict[str, str]:
        return {name: rubric.sha256 for name, rubric in self._rubrics.items()}

    async def _ask_batches(self, panel: Panel) -> None:
        """Fills the cache by the Batch API; what it gives no answer to is not asked again."""
        client = panel.clients[0]
        columns = ("task_type", "prompt", "completion")
        requests = (
            request
            for records in self._pool.batches(columns, num_threads=self._num_threads)
            for _, request in self._questions_about(records, panel)
        )
        batches = Batches(client, self._config, self._run.work, self._reporter)
        client.batch_failures = await batches.fetch(requests)

    async def _rate(self, panel: Panel, tally: Tally) -> None:
        total = self._pool.num_records
        files = RatedFiles(self._run, self._pool.layout(self._num_threads), panel.judges)
        async with aclosing(self._judged(panel, files)) as all_judged:
            async for judged in all_judged:
                tally.add(judged)
                self._check_worth(judged, tally)
                files.add(judged)
                self._reporter.beside(str(self._bill))
                self._reporter("rate", tally.num_records, total)

    async def _judged(self, panel: Panel, files: RatedFiles) -> AsyncGenerator[Judged]:
        """All answers about each record, record by record."""
        repeats = self._config.judge_repeat
        by_judge: list[list[Reading]] = [[]]
        async with aclosing(
            answers(self._questions(panel, files), self._config.concurrency)
        ) as outcomes:
            async for outcome in outcomes:
                if len(by_judge[-1]) == repeats:
                    by_judge.append([])
                by_judge[-1].append(Reading(outcome))
                if len(by_judge) == len(panel.judges) and len(by_judge[-1]) == repeats:
                    yield Judged(by_judge)
                    by_judge = [[]]

    def _questions(self, panel: Panel, files: RatedFiles) -> Iterator[tuple[Client, ChatRequest]]:
        for records in self._pool.batches(num_threads=self._num_threads):
            self._run.counts.input += records.num_rows
            files.expect(records)
            yield from self._questions_about(records, panel)

    def _questions_about(
        self, records: pa.RecordBatch, panel: Panel
    ) -> Iterator[tuple[Client, ChatRequest]]:
        for messages in record_messages(records, self._rubrics):
            for judge, client in zip(panel.judges, panel.clients, strict=True):
                for repeat in range(self._config.judge_repeat):
                    yield client, judge_request(judge.name, messages, self._config, repeat)

    def _check_worth(self, judged: Judged, tally: Tally) -> None:
        if self._config.keep_going or tally.num_rated or tally.num_records < STOP_AFTER:
            return
        raise DataError(
            f"the first {STOP_AFTER} records got no rating; the last one: {judged.reason}"
            f"{_shown(judged.by_judge[0][0].outcome)}; look at the judge, or go on with keep_going"
        )


def record_messages(
    records: pa.RecordBatch, rubrics: dict[str, Rubric]
) -> Iterator[tuple[dict[str, str], ...]]:
    """What a judge is asked about each record.

    Args:
        records: Records with `task_type`, `prompt` and `completion`.
        rubrics: As `load_rubrics` gives them.

    Yields:
        The messages of one record.
    """
    columns = (records.column(name).to_pylist() for name in ("task_type", "prompt", "completion"))
    for task_type, prompt, completion in zip(*columns, strict=True):
        yield judge_messages(rubric_for(rubrics, task_type), prompt or "", completion or "")


def _shown(outcome: Outcome) -> str:
    if not isinstance(outcome, Answer):
        return f": {outcome.detail}"
    return f": {(outcome.text or '')[:SHOWN_CHARS]!r}"
