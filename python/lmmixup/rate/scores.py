"""What a judge's answer says: four scores, or why there are none."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmmixup.rate.prompt import HIGHEST, LOWEST
from lmmixup.rate.rubric import SCORES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmmixup.llm import Answer

NUM_CLASSES = 6
"""Ratings are 0..5."""

MOST_BRACES = 256
"""Places of a text where an object is looked for: reading on from each is quadratic."""

_NUMBER = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)(?:\s*/\s*(\d{1,3}))?")
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_AROUND_KEY = re.compile(r"\(.*?\)|\b(?:score|rating)\b|[^a-z]")


@dataclass(frozen=True)
class Scores:
    """Scores of one record from 1 to 10; `None` where the judge gave none that can be used."""

    overall: float
    rarity: float | None = None
    complexity: float | None = None
    informativeness: float | None = None

    @property
    def rating(self) -> int:
        """The overall score as a rating 0..5."""
        return rating_class(self.overall)


@dataclass(frozen=True)
class Unrated:
    """Why an answer holds no rating.

    Attributes:
        reason: A few words to group by.
        detail: What came instead.
    """

    reason: str
    detail: str = ""


def rating_class(overall: float) -> int:
    """The paper's compression of an overall score to a rating.

    Args:
        overall: Score from 1 to 10; a half is rounded up, so 7.5 counts as 8.

    Returns:
        clip(overall, 4, 9) - 4, in 0..5.

    Source:
        METHOD §4; the rounding is ours.

    Example:
        >>> [rating_class(score) for score in (1, 4, 7.4, 7.5, 9, 10)]
        [0, 0, 3, 4, 5, 5]
    """
    return min(max(math.floor(overall + 0.5), 4), 9) - 4


def read_scores(answer: Answer) -> Scores | Unrated:
    """The scores in a judge's answer.

    Args:
        answer: What the judge said.

    Returns:
        The scores, where the text has exactly one set of them: a JSON object with a key for the
        overall score (alone, in a code fence, or within prose), or nothing but the number.
        A score is `7`, `7.5`, `"8"` or `"7/10"`, from 1 to 10. Anything else is unrated: a
        guess would be a rating that nobody gave.

    Source:
        Ours; METHOD §10.2.

    Example:
        >>> from lmmixup.llm import Answer
        >>> read_scores(Answer('Sure! {"Overall": "7/10"}', "stop")).rating
        3
        >>> read_scores(Answer("I would say seven.", "stop")).reason
        'no scores in the answer'
    """
    if answer.refusal is not None or answer.finish_reason == "content_filter":
        return Unrated("refused", answer.refusal or "filtered by the server")
    if answer.finish_reason == "length":
        return Unrated("truncated", "the answer was cut off at max_output_tokens")
    text = _THOUGHTS.sub("", answer.text or "").strip()
    if not text:
        return Unrated("empty answer")
    number = _bare_number(text)
    if number is not None:
        return _checked([{"overall": number}])
    return _checked(list(_score_objects(text)))


def _bare_number(text: str) -> str | None:
    bare = text.strip("\"'`. \n")
    return bare if _NUMBER.fullmatch(bare) else None


def _checked(found: list[dict[str, Any]]) -> Scores | Unrated:
    if not found:
        return Unrated("no scores in the answer")
    if any(one != found[0] for one in found[1:]):
        return Unrated("several different scores")
    overall = _score(found[0]["overall"])
    if isinstance(overall, Unrated):
        return overall
    others = {name: _score(found[0].get(name)) for name in SCORES if name != "overall"}
    return Scores(
        overall=overall,
        **{name: score for name, score in others.items() if isinstance(score, float)},
    )


def _score(value: Any) -> float | Unrated:
    """A number of the judge's scale."""
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value.strip())
        if found is None or found[2] not in (None, str(HIGHEST)):
            return Unrated("not a score", repr(value))
        value = float(found[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Unrated("not a score", repr(value))
    if not LOWEST <= value <= HIGHEST:
        return Unrated("out of range", repr(value))
    return float(value)


def _score_objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects in a text that have an overall score, with our names as keys."""
    decoder = json.JSONDecoder(object_pairs_hook=_Pairs, parse_constant=_no_constant)
    place = text.find("{")
    for _ in range(MOST_BRACES):
        if place < 0:
            return
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            yield from _with_overall(value)
        place = text.find("{", end)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys as they came, so that one that comes twice is seen."""


def _with_overall(value: _Pairs) -> Iterator[dict[str, Any]]:
    named: dict[str, Any] = {}
    for key, item in value:
        name = _AROUND_KEY.sub("", key.lower().replace("_", " "))
        if name in named and name in SCORES and named[name] != item:
            item = None  # noqa: PLW2901  said twice and differently: no score
        named[name] = item
        if isinstance(item, _Pairs):
            yield from _with_overall(item)
    if "overall" in named:
        yield {name: named.get(name) for name in SCORES}


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")
