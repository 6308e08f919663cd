"""Answers scored by libraries: how good they are, and how near to their references."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lmmixup.errors import ArgumentError, LmmixupError
from lmmixup.rewards.alignment import known_threshold
from lmmixup.rewards.mapping import map_scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lmmixup.library import Libraries, Library
    from lmmixup.rewards.config import RewardConfig


@dataclass
class Scored:
    """One reward of N outputs.

    Attributes:
        values: N rewards; `None` where an output could not be scored.
        why: Why it could not, by its place.
    """

    values: list[float | None]
    why: dict[int, str] = field(default_factory=dict)

    def put(self, rows: Sequence[int], rewards: NDArray[np.float64]) -> None:
        """Sets the rewards of some outputs."""
        for row, reward in zip(rows, rewards, strict=True):
            self.values[row] = float(reward)

    def fail(self, rows: Sequence[int], why: str) -> None:
        """Leaves some outputs unscored."""
        self.why.update(dict.fromkeys(rows, why))


class Scoring:
    """Scores answers by the library of their task type.

    An empty answer has reward 0. One whose task type has no library, whose reference is missing
    or whose embedder fails is left unscored.

    Args:
        config: Mapping and threshold.
        libraries: The libraries; each embeds completions alone.
        num_threads: 0 takes all cores.

    Raises:
        ArgumentError: A library embeds whole records.

    Notes:
        The vectors of the last batch are kept, so that one embedding of each answer serves
        quality and alignment. Needs no GPU.

    Source:
        METHOD §5 and §10.
    """

    def __init__(self, config: RewardConfig, libraries: Libraries, num_threads: int) -> None:
        self.libraries = libraries
        self._config = config
        self._num_threads = num_threads
        self._vectors: dict[int, dict[str, NDArray[np.float32]]] = {}
        for name, library in libraries:
            if library.config.text != "completion":
                raise ArgumentError(
                    f"the library {name!r} embeds whole records, but rewards see answers alone; "
                    "build it with --text completion"
                )

    def quality(self, answers: Sequence[str], task_type: Sequence[str | None]) -> Scored:
        """What the library thinks of each of N answers, 0 to 1."""
        scored = _nothing_for_nothing(answers)
        for library, rows in self._by_library(answers, task_type, scored):
            try:
                scored.put(rows, self._quality(library, [answers[row] for row in rows]))
            except LmmixupError as error:
                scored.fail(rows, str(error))
        return scored

    def alignment(
        self,
        answers: Sequence[str],
        task_type: Sequence[str | None],
        references: Sequence[str],
    ) -> Scored:
        """1 where one of N answers is near enough to its reference, else 0."""
        scored = _nothing_for_nothing(answers)
        for library, rows in self._by_library(answers, task_type, scored):
            scored.fail([row for row in rows if not references[row]], "an output has no reference")
            known = [row for row in rows if references[row]]
            texts = [answers[row] for row in known] + [references[row] for row in known]
            try:
                answers_KD, references_KD = np.split(self._embed(library, texts), 2)
            except LmmixupError as error:
                scored.fail(known, str(error))
                continue
            cosines_K = (answers_KD * references_KD).sum(axis=1)
            scored.put(known, cosines_K >= self.threshold(library))
        return scored

    def threshold(self, library: Library) -> float:
        """Least cosine that counts as aligned.

        Raises:
            ArgumentError: None is given, and none is known for the library's embedder.
        """
        given = self._config.alignment_threshold
        threshold = known_threshold(library.identity) if given is None else given
        if threshold is None:
            raise ArgumentError(
                f"{library.path}: no alignment threshold is known for its embedder "
                f"{library.config.embedder!r}; hint: give one with --alignment-threshold, which "
                "`lmmixup rewards calibrate` finds from rated pairs of texts"
            )
        return threshold

    def _quality(self, library: Library, texts: Sequence[str]) -> NDArray[np.float64]:
        vectors_QD = self._embed(library, texts)
        num_bytes_Q2 = np.array([(0, len(text.encode())) for text in texts], np.int64)
        scores = library.score(vectors_QD, num_bytes_Q2, num_threads=self._num_threads)
        rewards_Q = map_scores(scores.posterior_QC, self._config.mapping)
        # What has no vector says nothing that the library knows: no word, no reward.
        return np.where(vectors_QD.any(axis=1), rewards_Q, 0.0)

    def _by_library(
        self, answers: Sequence[str], task_type: Sequence[str | None], scored: Scored
    ) -> Iterator[tuple[Library, list[int]]]:
        """Rows with an answer by their library; the others fail."""
        rows_of: dict[Library | None, list[int]] = {}
        for row, (answer, kind) in enumerate(zip(answers, task_type, strict=True)):
            if answer:
                rows_of.setdefault(self.libraries.get(kind), []).append(row)
        scored.fail(rows_of.pop(None, []), "a task type has no library")
        yield from ((library, rows) for library, rows in rows_of.items() if library is not None)

    def _embed(self, library: Library, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts; those of the last batch are not made again."""
        kept = self._vectors.get(id(library), {})
        new = [text for text in dict.fromkeys(texts) if text not in kept]
        if new:
            made = library.embedder.embed(pa.array(new, pa.large_string()))
            kept = {text: kept[text] for text in dict.fromkeys(texts) if text in kept}
            kept.update(zip(new, made, strict=True))
            self._vectors[id(library)] = kept
        dim = int(library.identity["dim"])
        return np.array([kept[text] for text in texts], np.float32).reshape(-1, dim)


def _nothing_for_nothing(answers: Sequence[str]) -> Scored:
    return Scored([0.0 if answer == "" else None for answer in answers])
