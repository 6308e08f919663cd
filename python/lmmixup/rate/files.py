"""The files of a rated pool, written as records are judged."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup.pool import widen
from lmmixup.rate.judges import column_names
from lmmixup.rate.rows import ANSWERS_SCHEMA, added_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmmixup.pool.layout import Layout
    from lmmixup.rate.judges import Judge
    from lmmixup.rate.rows import Judged
    from lmmixup.stage import StageRun


class RatedFiles:
    """Writes `data.parquet` and `answers.parquet` in the order of the pool.

    Args:
        run: Opens the files.
        layout: The pool's columns.
        judges: The judges, for the columns of each.

    Notes:
        Holds the batches whose records are being judged, and the rows of the first of them.
    """

    def __init__(self, run: StageRun, layout: Layout, judges: Sequence[Judge]) -> None:
        self._judges = judges
        self._names = column_names(judges)
        self._columns = added_schema(self._names)
        self._widened = widen(layout, self._columns)
        if self._widened.replaced:
            gone = ", ".join(self._widened.replaced)
            run.reporter.note(f"ratings of an earlier run give way: {gone}")
        self._data = run.writer("data.parquet", self._widened.schema)
        self._answers = run.writer("answers.parquet", ANSWERS_SCHEMA)
        self._waiting: deque[pa.RecordBatch] = deque()
        self._ids: list[str] = []
        self._rows: list[dict[str, Any]] = []
        self._answer_rows: list[dict[str, Any]] = []

    def expect(self, records: pa.RecordBatch) -> None:
        """Takes records that are about to be judged, all columns of the pool."""
        self._waiting.append(records)

    def add(self, judged: Judged) -> None:
        """Takes the answers about the next record."""
        if not self._rows:
            self._ids = self._waiting[0].column("id").to_pylist()
        record_id = self._ids[len(self._rows)]
        self._rows.append(judged.row(", ".join(judge.name for judge in self._judges), self._names))
        for judge, readings in zip(self._judges, judged.by_judge, strict=True):
            for repeat, reading in enumerate(readings):
                self._answer_rows.append(reading.row(record_id, judge.name, repeat))
        if len(self._rows) == len(self._ids):
            self._write()

    def _write(self) -> None:
        added = pa.RecordBatch.from_pylist(self._rows, schema=self._columns)
        self._data.write(self._widened.join(self._waiting.popleft(), added.columns))
        self._answers.write(pa.RecordBatch.from_pylist(self._answer_rows, schema=ANSWERS_SCHEMA))
        self._rows, self._answer_rows = [], []
