"""The files of a distilled pool, written as records are made."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup.distill.faithfulness import Tally, check, said
from lmmixup.distill.mixer import Made, Refused
from lmmixup.llm import Answer, Prices
from lmmixup.pool.layout import CANONICAL, Original, with_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmmixup.distill.mixer import Attempt, Mixed
    from lmmixup.distill.parts import Fates, Part
    from lmmixup.parquet import ParquetSink
    from lmmixup.pool import Pool
    from lmmixup.stage import StageRun

SOURCE = "distill"
"""What stands in the column `source` of a made record."""

UNFOUNDED = pa.struct(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)
"""Something that no source says: `number`, `name` or `negation`, and its words."""

ADDED = pa.schema(
    [
        pa.field("sources", pa.list_(pa.string()), nullable=False),
        pa.field("source_names", pa.list_(pa.string()), nullable=False),
        pa.field("licences", pa.list_(pa.string()), nullable=False),
        pa.field("coverage", pa.list_(pa.float32()), nullable=False),
        pa.field("unfounded", pa.list_(UNFOUNDED), nullable=False),
        pa.field("cluster", pa.int64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("mixer", pa.string(), nullable=False),
        pa.field("think", pa.string()),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("completion_tokens", pa.int64()),
        pa.field("cost", pa.float64()),
    ]
)
"""Columns of a made record beside the canonical ones: ids of the records that went in, the sets of
their `source` and licences, how much of each it has and what it says that none of them does,
cluster and part, who made it, the mixer's reasoning, and what all answers behind it took: tokens,
and their price where it is known."""

ANSWERS_SCHEMA = pa.schema(
    [
        pa.field("cluster", pa.int64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("finish_reason", pa.string()),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("completion_tokens", pa.int64()),
        pa.field("answer", pa.string()),
    ]
)
"""Columns of `answers.parquet`: each answer as it came, and why it gave no record."""

ROWS_AT_A_TIME = 1024


def _data_schema() -> pa.Schema:
    fields = [*CANONICAL, *ADDED]
    originals = tuple(Original(f.name, f.name) for f in fields if f.name != "messages")
    return with_metadata(pa.schema(fields), "prompt_completion", originals).schema


class DistilledFiles:
    """Writes `data.parquet`, `answers.parquet` and `leftover.parquet`, and counts.

    Args:
        run: Opens the files.
        mixer: Name of the mixer.
        fates: Where the outcome of each record goes.
        prices: Prices of tokens.

    Attributes:
        num_made: Records made.
        refused: Parts without a record, by reason.

    Notes:
        Holds up to 1,024 rows; leftover records are read once more at the end.
    """

    def __init__(self, run: StageRun, mixer: str, fates: Fates, prices: Prices) -> None:
        self._run = run
        self._mixer = mixer
        self._fates = fates
        self._prices = prices
        self._faithful = Tally()
        self._schema = _data_schema()
        self._data = run.writer("data.parquet", self._schema)
        self._answers: ParquetSink | None = None
        self._rows: list[dict[str, Any]] = []
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
            self._rows.append(self._made_row(mixed, result))
            for place, source in enumerate(part.sources):
                if place in result.left:
                    self._fates.leave(source.row, result.left[place])
                else:
                    self._fates.use(source.row)
        if max(len(self._rows), len(self._answer_rows)) >= ROWS_AT_A_TIME:
            self._flush()

    def finish(self, pool: Pool, num_threads: int) -> None:
        """Writes what waits and the leftover records, and fills the run's counts.

        Args:
            pool: The records; read once more.
            num_threads: Threads that read; 0 takes all.
        """
        self._flush()
        counts = self._fates.counts()
        self._run.counts.used = counts.pop("used", 0)
        self._run.counts.leftover = counts.total()
        self._run.counts.made = self.num_made
        self._run.counts.input = len(self._fates) + sum(1 for _ in pool.rejects)
        self._run.figures["leftover_reasons"] = dict(sorted(counts.items()))
        self._run.figures.update(self._faithful.figures())
        self._write_leftover(pool, num_threads)

    def _made_row(self, mixed: Mixed, made: Made) -> dict[str, Any]:
        part = mixed.part
        places = [place for place in range(len(part.sources)) if place not in made.left]
        sources = [part.sources[place] for place in places]
        seen = check(
            said(made.prompt, made.completion, made.task_type),
            [f"{source.prompt}\n{source.completion}" for source in part.sources],
        )
        coverage = [seen.coverage[place] for place in places]
        self._faithful.add(coverage, seen.unfounded)
        return {
            "id": made_id(part, places, self._mixer),
            "source": SOURCE,
            "prompt": made.prompt,
            "completion": made.completion,
            "messages": [
                {"role": "user", "content": made.prompt},
                {"role": "assistant", "content": made.completion},
            ],
            "task_type": made.task_type,
            "sources": [source.id for source in sources],
            "source_names": sorted({source.source for source in sources if source.source}),
            "licences": sorted({source.licence for source in sources if source.licence}),
            "coverage": coverage,
            "unfounded": [vars(one) for one in seen.unfounded],
            "cluster": part.cluster,
            "part": part.part,
            "mixer": self._mixer,
            "think": made.think,
            **_spent(mixed.attempts, self._prices),
        }

    def _flush(self) -> None:
        self._data.write(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
        if self._answer_rows:
            self._answers = self._answers or self._run.writer("answers.parquet", ANSWERS_SCHEMA)
            answers = pa.RecordBatch.from_pylist(self._answer_rows, schema=ANSWERS_SCHEMA)
            self._answers.write(answers)
        self._rows, self._answer_rows = [], []

    def _write_leftover(self, pool: Pool, num_threads: int) -> None:
        names = [name for name in pool.schema.names if name != "reason"]
        fields = [*(pool.schema.field(name) for name in names), pa.field("reason", pa.string())]
        schema = pa.schema(fields, pool.schema.metadata)
        sink = self._run.writer("leftover.parquet", schema)
        if not self._run.counts.leftover:
            return
        done = 0
        for batch in pool.batches(names, num_threads=num_threads):
            reasons = pa.array(self._fates.reasons(done, batch.num_rows), pa.string())
            done += batch.num_rows
            whole = pa.RecordBatch.from_arrays([*batch.columns, reasons], schema=schema)
            sink.write(whole.filter(reasons.is_valid()))


def made_id(part: Part, places: list[int], mixer: str) -> str:
    """Id of a made record: a hash of the records that went in and of who made it.

    Args:
        part: The part.
        places: Which of its sources went in.
        mixer: Name of the mixer.
    """
    digest = hashlib.blake2b(digest_size=12)
    sources = [part.sources[place] for place in places]
    for text in (mixer, *(t for one in sources for t in (one.id, one.prompt, one.completion))):
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return f"{SOURCE}-{digest.hexdigest()}"


def _spent(attempts: Sequence[Attempt], prices: Prices) -> dict[str, int | float | None]:
    """Tokens and price of all answers behind a record; nothing where no model was asked."""
    if not attempts:
        return {}
    answers = [one.outcome for one in attempts if isinstance(one.outcome, Answer)]
    tokens_in = sum(answer.prompt_tokens for answer in answers)
    tokens_out = sum(answer.completion_tokens for answer in answers)
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "cost": prices.cost(tokens_in, tokens_out),
    }


def _answer_row(part: Part, number: int, attempt: Attempt) -> dict[str, Any]:
    row: dict[str, Any] = {"cluster": part.cluster, "part": part.part, "attempt": number}
    if isinstance(attempt.result, Refused):
        row |= {"reason": attempt.result.reason, "detail": attempt.result.detail or None}
    if isinstance(attempt.outcome, Answer):
        row |= {
            "finish_reason": attempt.outcome.finish_reason,
            "prompt_tokens": attempt.outcome.prompt_tokens,
            "completion_tokens": attempt.outcome.completion_tokens,
            "answer": attempt.outcome.text,
        }
    return row
