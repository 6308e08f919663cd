"""The building of one part of the split: write, fuse, and put into files."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lmmixup import ops
from lmmixup.embed import embed_texts
from lmmixup.errors import DataError
from lmmixup.llm import Answer
from lmmixup.mixture.choices import Choices
from lmmixup.mixture.draft import Refusal
from lmmixup.mixture.fuse import pairs
from lmmixup.mixture.pieces import Piece, Tally, keep_piece, load_piece
from lmmixup.mixture.samples import EDITS_SCHEMA, SAMPLES_SCHEMA, make_sample
from lmmixup.mixture.teacher import Ask, Written, random_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmmixup.mixture.config import MixtureConfig
    from lmmixup.mixture.draft import Attempt
    from lmmixup.mixture.passage import Passage
    from lmmixup.mixture.teacher import Fused, Teacher
    from lmmixup.parquet import ParquetSink
    from lmmixup.stage import StageRun

NUM_NEAR = 16
"""Nearest passages that distractors are taken from."""

NUM_SIMILAR = 8
"""Nearest samples that a sample may be fused with."""

ROWS_AT_A_TIME = 1024

STOP_AFTER = 50
"""Passages without a single record after which a model is asked no more."""

ANSWERS_SCHEMA = pa.schema(
    [
        pa.field("passage", pa.string(), nullable=False),
        pa.field("task_type", pa.string(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("attempt", pa.int32(), nullable=False),
        pa.field("problem", pa.string()),
        pa.field("finish_reason", pa.string()),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("completion_tokens", pa.int64()),
        pa.field("answer", pa.string()),
    ]
)
"""Columns of `answers.parquet`: each answer of a model as it came, and why it was not used."""

Group = tuple[tuple[Written, ...], "Fused | None"]


class Builder:
    """Builds the parts one after the other.

    Args:
        config: The config.
        teacher: Who writes.
        run: Opens the files; is told of progress.
        num_threads: 0 takes all cores.

    Attributes:
        tallies: What was made of each part, and what was not.
        used: Ids of the texts that are in a sample.
    """

    def __init__(
        self, config: MixtureConfig, teacher: Teacher, run: StageRun, *, num_threads: int
    ) -> None:
        self._config = config
        self._teacher = teacher
        self._run = run
        self._num_threads = num_threads
        self._edits = run.writer("edits.parquet", EDITS_SCHEMA)
        self.tallies: dict[str, Tally] = {}
        self.used: set[str] = set()
        self._answers: ParquetSink | None = None
        self._num_written = self._num_refused = 0
        self._last = ""

    async def build(
        self, part: str, passages: Sequence[Passage], articles: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Writes the samples of one part into `PART.parquet`.

        Args:
            part: Its name.
            passages: Its passages.
            articles: The article of each.

        Returns:
            The rows that were written, in a seeded order.
        """
        # A model's answers are in its cache; what rules made is kept part by part.
        folder = self._run.work / "parts" / part if self._config.model is None else None
        piece = load_piece(folder) if folder else None
        if piece is None:
            piece = await self._piece(part, passages, articles)
            if folder:
                keep_piece(piece, folder)
        self.tallies[part] = piece.tally
        self.used.update(text for row in piece.rows for text in row["texts"])
        self._put(part, piece)
        return piece.rows

    async def _piece(
        self, part: str, passages: Sequence[Passage], articles: Sequence[str]
    ) -> Piece:
        article_of = {one.row: article for one, article in zip(passages, articles, strict=True)}
        self._know(passages)
        piece = Piece([], [], Tally())
        for kind in self._config.task_types:
            written = await self._write(part, kind, passages, piece.tally)
            for sources, fused in await self._groups(written, article_of):
                group = [(one, article_of[one.ask.passage.row]) for one in sources]
                sample = make_sample(group, fused, self._config)
                if sample is None:
                    piece.tally.num_too_long += 1
                    continue
                piece.tally.made[kind] += 1
                piece.tally.num_fused += fused is not None
                piece.tally.num_left_out += sample.num_left_out
                piece.rows.append(sample.row)
                piece.edits += sample.edits
        random_for(self._config, "rows", part).shuffle(piece.rows)
        return piece

    def _know(self, passages: Sequence[Passage]) -> None:
        near_NK = np.full((len(passages), 1), -1, np.int32)
        if len(passages) > 1:
            near_NK = self._near([one.text for one in passages], NUM_NEAR).idx_QK
        self._teacher.know(Choices(passages, near_NK))

    def _near(self, texts: list[str], k: int) -> ops.Neighbours:
        vectors_ND = embed_texts(texts, self._config.embed_config(), num_threads=self._num_threads)
        return ops.knn(vectors_ND, min(k, len(texts) - 1), num_threads=self._num_threads)

    async def _write(
        self, part: str, kind: str, passages: Sequence[Passage], tally: Tally
    ) -> list[Written]:
        config = self._config
        refused = tally.refused.setdefault(kind, Counter())
        asks = (Ask(one, kind, num_variants(config, kind, one)) for one in passages)
        written: list[Written] = []
        num_done = 0
        async with aclosing(self._teacher.write(asks)) as outcomes:
            async for outcome in outcomes:
                self._log(kind, passages[num_done].id, outcome.attempts)
                num_done += 1
                self._run.reporter(f"write {part} {kind}", num_done, len(passages))
                if isinstance(outcome, Refusal):
                    refused[outcome.reason] += 1
                    self._num_refused += 1
                    self._last = f"{outcome.reason}: {outcome.detail}"
                    self._check_worth()
                else:
                    self._num_written += 1
                    written.append(outcome)
        return written

    async def _groups(self, written: list[Written], article_of: dict[int, str]) -> list[Group]:
        """Single records, and pairs with their target where the teacher could fuse them."""
        config = self._config
        most = int(len(written) * config.fuse) // 2
        if most == 0:
            return [((one,), None) for one in written]
        near = self._near(
            [f"{one.draft.question}\n{one.draft.answer}" for one in written], NUM_SIMILAR
        )
        articles = [article_of[one.ask.passage.row] for one in written]
        bounds = (config.fuse_min_similarity, config.fuse_max_similarity)
        found = pairs(near.idx_QK, near.sim_QK, articles, most=most, bounds=bounds)
        asked = ((written[one], written[other]) for one, other in found)
        groups: list[Group] = []
        together: set[int] = set()
        async with aclosing(self._teacher.fuse(asked)) as outcomes:
            places = iter(found)
            async for outcome in outcomes:
                one, other = next(places)
                ids = [written[at].ask.passage.id for at in (one, other)]
                self._log(written[one].ask.task_type, "+".join(ids), outcome.attempts)
                if not isinstance(outcome, Refusal):
                    together |= {one, other}
                    groups.append(((written[one], written[other]), outcome))
        singles = [((one,), None) for at, one in enumerate(written) if at not in together]
        return [*groups, *singles]

    def _log(self, kind: str, passage: str, attempts: Sequence[Attempt]) -> None:
        """Puts every answer of a model into `answers.parquet`, used or not."""
        if not attempts:
            return
        self._answers = self._answers or self._run.writer("answers.parquet", ANSWERS_SCHEMA)
        rows = [_answer_row(kind, passage, attempt) for attempt in attempts]
        self._answers.write(pa.RecordBatch.from_pylist(rows, schema=ANSWERS_SCHEMA))

    def _check_worth(self) -> None:
        rules = self._config.model is None
        if rules or self._config.keep_going or self._num_written or self._num_refused < STOP_AFTER:
            return
        raise DataError(
            f"the first {STOP_AFTER} passages gave no record; the last one: {self._last}; look at "
            "the teacher, or go on with keep_going"
        )

    def _put(self, part: str, piece: Piece) -> None:
        sink = self._run.writer(f"{part}.parquet", SAMPLES_SCHEMA)
        for start in range(0, len(piece.rows), ROWS_AT_A_TIME):
            some = piece.rows[start : start + ROWS_AT_A_TIME]
            sink.write(pa.RecordBatch.from_pylist(some, schema=SAMPLES_SCHEMA))
        self._edits.write(pa.RecordBatch.from_pylist(piece.edits, schema=EDITS_SCHEMA))


def num_variants(config: MixtureConfig, kind: str, passage: Passage) -> int:
    """Variants to ask for, drawn from an exponential distribution with the mean of the config.

    Args:
        config: Fewest, most, mean and seed.
        kind: The task type.
        passage: The passage.
    """
    random = random_for(config, "variants", kind, passage.id)
    above = config.mean_variants - config.min_variants
    extra = round(random.expovariate(1 / above)) if above > 0 else 0
    return min(config.min_variants + extra, config.max_variants)


def _answer_row(kind: str, passage: str, attempt: Attempt) -> dict[str, Any]:
    row = {"passage": passage, "task_type": kind, "step": attempt.step, "attempt": attempt.number}
    answer = attempt.outcome if isinstance(attempt.outcome, Answer) else None
    return row | {
        "problem": attempt.problem,
        "finish_reason": answer.finish_reason if answer else None,
        "prompt_tokens": answer.prompt_tokens if answer else None,
        "completion_tokens": answer.completion_tokens if answer else None,
        "answer": answer.text if answer else None,
    }
