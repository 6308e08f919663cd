"""From the answers of all judges about a record to its row."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup.llm import Answer, Outcome
from lmmixup.llm.answer_rows import ANSWER_FIELDS, answer_columns
from lmmixup.rate.rubric import SCORES
from lmmixup.rate.scores import Scores, Unrated, rating_class, read_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWERS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("judge", pa.string(), nullable=False),
        pa.field("repeat", pa.int32(), nullable=False),
        pa.field("rating", pa.int8()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        *(pa.field(name, pa.float64()) for name in SCORES),
        *ANSWER_FIELDS,
    ]
)
"""Columns of `answers.parquet`: each judge's answer as it came, and what was read in it."""


def added_schema(names: Sequence[str]) -> pa.Schema:
    """The columns that rating adds to a pool.

    Args:
        names: Column names of the judges; one alone has no columns of its own.

    Returns:
        `rating` (0..5, null for unrated), `rating_reason` (why it is), the scores, `judge`, and
        with several judges `rating_NAME` and `overall_NAME` of each.
    """
    fields = [
        pa.field("rating", pa.int8()),
        pa.field("rating_reason", pa.string()),
        *(pa.field(name, pa.float64()) for name in SCORES),
        pa.field("judge", pa.string(), nullable=False),
        pa.field("num_ratings", pa.int32(), nullable=False),
    ]
    if len(names) > 1:
        for name in names:
            fields.append(pa.field(f"rating_{name}", pa.int8()))
            fields.append(pa.field(f"overall_{name}", pa.float64()))
    return pa.schema(fields)


@dataclass
class Reading:
    """One answer and what it says.

    Attributes:
        outcome: The answer, or why there is none.
        result: Its scores, or why there are none.
    """

    outcome: Outcome
    result: Scores | Unrated = field(init=False)

    def __post_init__(self) -> None:
        self.result = (
            read_scores(self.outcome)
            if isinstance(self.outcome, Answer)
            else Unrated(self.outcome.reason, self.outcome.detail)
        )

    def row(self, record_id: str, judge: str, repeat: int) -> dict[str, Any]:
        """The answer as a row of `answers.parquet`."""
        row: dict[str, Any] = {"id": record_id, "judge": judge, "repeat": repeat}
        if isinstance(self.result, Scores):
            row |= {**vars(self.result), "rating": self.result.rating}
        else:
            row |= {"reason": self.result.reason, "detail": self.result.detail or None}
        return row | answer_columns(self.outcome)


@dataclass
class Judged:
    """All answers about one record.

    Attributes:
        by_judge: For each judge, its repetitions.
    """

    by_judge: list[list[Reading]]

    def overall_of(self, judge: int) -> float | None:
        """Median of a judge's overall scores."""
        return _median([_scores_of(reading, "overall") for reading in self.by_judge[judge]])

    def rating_of(self, judge: int) -> int | None:
        """A judge's rating: the class of its median overall score."""
        return _class_of(self.overall_of(judge))

    @cached_property
    def rating(self) -> int | None:
        """The record's rating: the class of the median of the judges' overall scores."""
        return _class_of(self._combined("overall"))

    @property
    def reason(self) -> str | None:
        """Why the record is unrated: the reasons of its answers; `None` where it is rated."""
        if self.rating is not None:
            return None
        reasons = [reading.result.reason for readings in self.by_judge for reading in readings
                   if isinstance(reading.result, Unrated)]  # fmt: skip
        return ", ".join(dict.fromkeys(reasons))

    def row(self, judge: str, names: Sequence[str]) -> dict[str, Any]:
        """The record's added columns.

        Args:
            judge: What stands in the column `judge`.
            names: Column names of the judges.
        """
        row: dict[str, Any] = {
            "rating": self.rating,
            "rating_reason": self.reason,
            **{name: self._combined(name) for name in SCORES},
            "judge": judge,
            "num_ratings": sum(
                isinstance(reading.result, Scores)
                for readings in self.by_judge
                for reading in readings
            ),
        }
        if len(names) > 1:
            for number, name in enumerate(names):
                row[f"rating_{name}"] = self.rating_of(number)
                row[f"overall_{name}"] = self.overall_of(number)
        return row

    def _combined(self, score: str) -> float | None:
        return _median(
            [
                _median([_scores_of(reading, score) for reading in readings])
                for readings in self.by_judge
            ]
        )


def _scores_of(reading: Reading, score: str) -> float | None:
    return getattr(reading.result, score) if isinstance(reading.result, Scores) else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _class_of(overall: float | None) -> int | None:
    return None if overall is None else rating_class(overall)
