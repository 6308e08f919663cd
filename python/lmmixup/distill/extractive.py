"""The mixer without a model: the best of what the records say, as it stands.

Records that ask the same are answered together: the answer that holds most of what all of them say
is kept whole, and the others add the sentences that say something new. Different questions stay
apart as a numbered list, so that no answer stands under a question that it is not for.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from lmmixup import ops
from lmmixup.distill.config import EXTRACTIVE
from lmmixup.distill.mixer import Made, Mixed, Refused
from lmmixup.ops.extract import LEFT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from lmmixup.contract import Pair
    from lmmixup.distill.part import Part

FIGURES = {
    "questions": "num_questions",
    "sentences_redundant": "num_redundant",
    "sentences_fragments": "num_fragments",
    "sentences_over_length": "num_over",
}
"""Numbers in the manifest, and what they are called in `ops.Extracts`."""

PARTS_AT_A_TIME = 1024

REASONS = [str(reason) for reason in LEFT]
NO_COMPLETION, OVER_LENGTH = REASONS[1:]


@dataclass(frozen=True)
class Extract:
    """What was taken of some records.

    Attributes:
        prompt: The questions.
        completion: The answers; empty where no record has one that fits.
        num_questions: How many questions stand in it.
        left: Why a record did not go in, by its place.
        num_redundant: Sentences that said nothing new.
        num_fragments: New ones too short to stand by themselves.
        num_over: Sentences that found no room.
    """

    prompt: str
    completion: str
    num_questions: int
    left: dict[int, str] = field(default_factory=dict)
    num_redundant: int = 0
    num_fragments: int = 0
    num_over: int = 0


def extract(pairs: Sequence[Pair], max_output_tokens: int) -> Extract:
    """Takes the most informative, least redundant content of some records.

    Args:
        pairs: The records, the most central first.
        max_output_tokens: Tokens of the completion, 4 UTF-8 bytes each.

    Returns:
        Prompt and completion, and what was not taken and why; `ops.extract` does so with many.

    Source:
        Ours.

    Example:
        >>> taken = extract(
        ...     [
        ...         {"prompt": "Why is the sky blue?", "completion": "Air scatters far more blue."},
        ...         {"prompt": "why is the sky blue", "completion": "Dust scatters red light too."},
        ...     ],
        ...     100,
        ... )
        >>> taken.prompt, taken.completion
        ('Why is the sky blue?', 'Air scatters far more blue. Dust scatters red light too.')
    """
    taken = ops.extract(
        pa.array([pair["prompt"] for pair in pairs], pa.string()),
        pa.array([pair["completion"] for pair in pairs], pa.string()),
        np.array([0, len(pairs)]),
        max_output_tokens,
        num_threads=1,
    )
    return Extract(
        taken.prompts[0],
        taken.completions[0],
        int(taken.num_questions[0]),
        _left(taken.left, [0, len(pairs)]).get(0, {}),
        int(taken.num_redundant[0]),
        int(taken.num_fragments[0]),
        int(taken.num_over[0]),
    )


class ExtractiveMixer:
    """`extract` as a mixer.

    Args:
        max_output_tokens: Tokens of a completion.
        num_threads: Threads that choose; 0 takes all.
    """

    def __init__(self, max_output_tokens: int, num_threads: int = 0) -> None:
        self.name = EXTRACTIVE
        self._max_output_tokens = max_output_tokens
        self._num_threads = num_threads
        self._figures = dict.fromkeys(FIGURES, 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def mix(self, parts: Iterable[Part]) -> AsyncGenerator[Mixed]:
        """One outcome a part."""
        waiting = iter(parts)
        while window := list(islice(waiting, PARTS_AT_A_TIME)):
            for mixed in self._mixed(window):
                yield mixed

    def figures(self) -> dict[str, Any]:
        """Questions and the sentences that were not taken, by why."""
        return dict(self._figures)

    def _mixed(self, parts: list[Part]) -> Iterable[Mixed]:
        sources = [source for part in parts for source in part.sources]
        ends = [0, *accumulate(len(part.sources) for part in parts)]
        taken = ops.extract(
            pa.array([source.prompt for source in sources], pa.string()),
            pa.array([source.completion for source in sources], pa.string()),
            np.array(ends),
            self._max_output_tokens,
            num_threads=self._num_threads,
        )
        for name, attribute in FIGURES.items():
            self._figures[name] += int(getattr(taken, attribute).sum())
        left = _left(taken.left, ends)
        columns = (taken.prompts, taken.completions, taken.num_questions.tolist())
        for place, (part, prompt, completion, number) in enumerate(
            zip(parts, *columns, strict=True)
        ):
            lost = left.get(place, {})
            if completion:
                task_type = part.task_type if number == 1 else None
                yield Mixed(part, Made(prompt, completion, task_type, left=lost))
            else:
                is_long = OVER_LENGTH in lost.values()
                yield Mixed(part, Refused(OVER_LENGTH if is_long else NO_COMPLETION))


def _left(codes: NDArray[np.uint8], ends: Sequence[int]) -> dict[int, dict[int, str]]:
    """Why records did not go in, by their place in their group, by the group's place."""
    left: dict[int, dict[int, str]] = {}
    for record in np.flatnonzero(codes).tolist():
        group = bisect_right(ends, record) - 1
        left.setdefault(group, {})[record - ends[group]] = REASONS[codes[record]]
    return left
