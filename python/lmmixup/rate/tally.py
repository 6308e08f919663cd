"""Figures of a rating run, counted as records go by."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import TYPE_CHECKING, Any

from lmmixup.llm import Answer
from lmmixup.rate.agreement import AgreementTable
from lmmixup.rate.scores import NUM_CLASSES, Scores, Unrated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmmixup.rate.rows import Judged

ONE_SIDED = 0.8
"""Share of records with one and the same rating from which a person is told."""


class Tally:
    """Counts ratings, reasons, tokens and agreement.

    Args:
        judges: Names of the judges.
        judge_repeat: Times that each was asked.
    """

    def __init__(self, judges: Sequence[str], judge_repeat: int) -> None:
        self.num_records = 0
        self.ratings = [0] * NUM_CLASSES
        self.reasons: Counter[str] = Counter()
        self._judges = list(judges)
        self._tokens = [0, 0]
        self._by_judge: list[Counter[str]] = [Counter() for _ in judges]
        self._between = {pair: AgreementTable() for pair in combinations(range(len(judges)), 2)}
        repeats = len(judges) if judge_repeat > 1 else 0
        self._within = [AgreementTable() for _ in range(repeats)]

    @property
    def num_rated(self) -> int:
        """Records with a rating."""
        return sum(self.ratings)

    def add(self, judged: Judged) -> None:
        """Counts one record."""
        self.num_records += 1
        rating, reason = judged.rating, judged.reason
        if rating is not None:
            self.ratings[rating] += 1
        else:
            self.reasons[reason or ""] += 1
        for number, readings in enumerate(judged.by_judge):
            for reading in readings:
                if isinstance(reading.outcome, Answer):
                    self._tokens[0] += reading.outcome.prompt_tokens
                    self._tokens[1] += reading.outcome.completion_tokens
                if isinstance(reading.result, Unrated):
                    self._by_judge[number][reading.result.reason] += 1
        self._add_agreement(judged)

    def _add_agreement(self, judged: Judged) -> None:
        for (one, two), table in self._between.items():
            _add_pair(table, judged.rating_of(one), judged.rating_of(two))
        for table, readings in zip(self._within, judged.by_judge, strict=False):
            ratings = [
                reading.result.rating if isinstance(reading.result, Scores) else None
                for reading in readings
            ]
            for first, second in combinations(ratings, 2):
                _add_pair(table, first, second)

    def figures(self) -> dict[str, Any]:
        """What goes into the manifest; nothing in it depends on what was cached."""
        figures: dict[str, Any] = {
            "rated": self.num_rated,
            "unrated": self.num_records - self.num_rated,
            "unrated_reasons": dict(sorted(self.reasons.items())),
            "ratings": {str(rating): number for rating, number in enumerate(self.ratings)},
            "prompt_tokens": self._tokens[0],
            "completion_tokens": self._tokens[1],
            "answers_without_rating": {
                name: dict(sorted(reasons.items()))
                for name, reasons in zip(self._judges, self._by_judge, strict=True)
            },
        }
        if self._between:
            figures["agreement"] = {
                f"{self._judges[one]} | {self._judges[two]}": table.figures()
                for (one, two), table in self._between.items()
            }
        if self._within:
            figures["agreement_of_repeats"] = {
                name: table.figures()
                for name, table in zip(self._judges, self._within, strict=True)
            }
        return figures

    def sentences(self) -> Iterator[str]:
        """How far each pair of judges agrees, and each judge with itself."""
        for (one, two), table in self._between.items():
            yield _sentence(f"{self._judges[one]} and {self._judges[two]}", table)
        for name, table in zip(self._judges, self._within, strict=False):
            yield _sentence(f"{name} asked again", table)

    def warning(self) -> str | None:
        """A sentence where the ratings say little, or `None`."""
        most = max(self.ratings)
        if self.num_rated < NUM_CLASSES or most < ONE_SIDED * self.num_rated:
            return None
        rating = self.ratings.index(most)
        share = most / self.num_rated
        return f"{share:.0%} of the ratings are {rating}: they say little about the records"


def _sentence(who: str, table: AgreementTable) -> str:
    shown = {
        name: "not defined" if value is None else f"{value:.3f}"
        for name, value in table.figures().items()
    }
    return (
        f"{who}, {int(table.counts.sum()):,} pairs of ratings: exact {shown['exact']}, kappa "
        f"{shown['kappa']}, quadratic weighted kappa {shown['qwk']}"
    )


def _add_pair(table: AgreementTable, first: int | None, second: int | None) -> None:
    if first is not None and second is not None:
        table.add(first, second)
