"""The files of a distilled pool, written as records are made."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup.distill.faithfulness import Tally
from lmmixup.distill.made import MADE_SCHEMA, MadeRecord, made_columns
from lmmixup.distill.mixer import Refused
from lmmixup.llm.answer_rows import ANSWER_FIELDS, answer_columns

if TYPE_CHECKING:
    from lmmixup.distill.fates import Fates
    from lmmixup.distill.mixer import Attempt, Mixed
    from lmmixup.distill.part import Part
    from lmmixup.llm import Prices
    from lmmixup.parquet import ParquetSink
    from lmmixup.pool import Pool
    from lmmixup.stage import StageRun

ANSWERS_SCHEMA = pa.schema(
    [
        pa.field("cluster", pa.int64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        *ANSWER_FIELDS,
    ]
)
"""Columns of `answers.parquet`: each answer as it came, and why it gave no record."""

ROWS_AT_A_TIME = 1024

ROWS_PER_GROUP = 4096
"""Rows of a row group: what is made of a cluster is as large as its records together."""


class DistilledFiles:
    """Writes `data.parquet`, `answers.parquet` and `leftover.parquet`, and counts.

    Args:
        run: Opens the files.
        mixer: Name of the mixer.
        fates: Where the outcome of each record goes.
        prices: Prices of tokens.
        num_threads: Threads that check records; 0 takes all.

    Attributes:
        num_made: Records made.
        refused: Parts without a record, by reason.

    Notes:
        Holds up to 1,024 rows; leftover records are read once more at the end.
    """

    def __init__(
        self, run: StageRun, mixer: str, fates: Fates, prices: Prices, num_threads: int
    ) -> None:
        self._run = run
        self._mixer = mixer
        self._fates = fates
        self._prices = prices
        self._num_threads = num_threads
        self._faithful = Tally()
        self._data = run.writer("data.parquet", MADE_SCHEMA, rows_per_group=ROWS_PER_GROUP)
        self._answers: ParquetSink | None = None
        self._made: list[MadeRecord] = []
        self._answer_rows: list[dict[str, Any]] = []
        self.num_made = 0
        self.refused: Counter[str] = Counter()

    def add(self, mixed: Mixed) -> None:
        """Takes what became of the next part."""
        part, result = mixed.part, mixed.result
        for number, attempt in enumerate(mixed.attempts):
            self._answer_rows.append(_answer_row(part, number, attempt))
        if isinstance(result, Refused):
            self.refused[result.reason] += 1
            for source in part.sources:
                self._fates.leave(source.row, result.reason)
        else:
            self.num_made += 1
            self._made.append(MadeRecord(part, result, mixed.attempts))
            for place, source in enumerate(part.sources):
                if place in result.left:
                    self._fates.leave(source.row, result.left[place])
                else:
                    self._fates.use(source.row)
        if max(len(self._made), len(self._answer_rows)) >= ROWS_AT_A_TIME:
            self._flush()

    def finish(self, pool: Pool) -> None:
        """Writes what waits and the leftover records of `pool`, and fills the run's counts."""
        self._flush()
        counts = self._fates.counts()
        self._run.counts.used = counts.pop("used", 0)
        self._run.counts.leftover = counts.total()
        self._run.counts.made = self.num_made
        self._run.counts.input = len(self._fates)
        self._run.figures["leftover_reasons"] = dict(sorted(counts.items()))
        self._run.figures.update(self._faithful.figures())
        self._write_leftover(pool)

    def _flush(self) -> None:
        columns = made_columns(
            self._made, self._mixer, self._prices, self._faithful, self._num_threads
        )
        self._data.write(columns)
        if self._answer_rows:
            self._answers = self._answers or self._run.writer(
                "answers.parquet", ANSWERS_SCHEMA, rows_per_group=ROWS_PER_GROUP
            )
            answers = pa.RecordBatch.from_pylist(self._answer_rows, schema=ANSWERS_SCHEMA)
            self._answers.write(answers)
        self._made, self._answer_rows = [], []

    def _write_leftover(self, pool: Pool) -> None:
        names = [name for name in pool.schema.names if name != "reason"]
        fields = [*(pool.schema.field(name) for name in names), pa.field("reason", pa.string())]
        schema = pa.schema(fields, pool.schema.metadata)
        sink = self._run.writer("leftover.parquet", schema, rows_per_group=ROWS_PER_GROUP)
        if not self._run.counts.leftover:
            return
        done = 0
        for batch in pool.batches(names, num_threads=self._num_threads):
            reasons = pa.array(self._fates.reasons(done, batch.num_rows), pa.string())
            done += batch.num_rows
            whole = pa.RecordBatch.from_arrays([*batch.columns, reasons], schema=schema)
            sink.write(whole.filter(reasons.is_valid()))
            pa.default_memory_pool().release_unused()


def _answer_row(part: Part, number: int, attempt: Attempt) -> dict[str, Any]:
    row: dict[str, Any] = {"cluster": part.cluster, "part": part.part, "attempt": number}
    if isinstance(attempt.result, Refused):
        row |= {"reason": attempt.result.reason, "detail": attempt.result.detail or None}
    return row | answer_columns(attempt.outcome)
