"""The three rewards as plain functions, and the one that joins them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.contract import parse
from lmmixup.errors import ArgumentError, RewardError
from lmmixup.library import open_libraries
from lmmixup.rewards.form import completion_text, format_reward
from lmmixup.rewards.scoring import Scored, Scoring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmmixup.library import Libraries, Library
    from lmmixup.rewards.config import RewardConfig
    from lmmixup.rewards.form import Completion

_WITH_ALIGNMENT = {"quality": 0.5, "alignment": 0.4, "format": 0.1}
_WITHOUT_ALIGNMENT = {"quality": 0.8, "alignment": 0.0, "format": 0.2}
WEIGHTS: dict[str, dict[str, float]] = {
    "qa": _WITH_ALIGNMENT,
    "cs": _WITH_ALIGNMENT,
    "mcq": _WITHOUT_ALIGNMENT,
    "tfq": _WITHOUT_ALIGNMENT,
    "para": _WITHOUT_ALIGNMENT,
}
"""Weight of each reward by task type (METHOD §5)."""

COMPONENTS = ("quality", "alignment", "format")

UNKNOWN = f"a task type is none of {', '.join(WEIGHTS)}"


class Rewards:
    """Quality, alignment, format and their weighted sum, for a trainer.

    `quality`, `alignment`, `format` and `combined` are plain functions of completions and the
    columns of the data set; TRL takes `rewards.combined` as it is. An output without an answer
    in its tags has quality and alignment 0. One that could not be scored (its task type has no
    library, its reference is missing, the embedder failed) is `None`, and counted.

    Args:
        config: Library, mapping, thresholds.
        libraries: The opened libraries; opened here where missing.
        num_threads: 0 takes all cores.

    Raises:
        FileError: There is no library.
        ArgumentError: No library is named; one embeds whole records, not completions; or no
            alignment threshold is known for its embedder and none is given.

    Notes:
        Needs no GPU. One embedding of each answer serves quality and alignment: the vectors of
        the last batch are kept.

    Source:
        METHOD §5 and §10.
    """

    def __init__(
        self, config: RewardConfig, *, libraries: Libraries | None = None, num_threads: int = 0
    ) -> None:
        self.config = config
        self.num_errors = 0
        if libraries is None:
            libraries = _open(config)
        self._scoring = Scoring(config, libraries, num_threads)
        self.alignment_thresholds = self._thresholds()

    def quality(
        self,
        completions: Sequence[Completion],
        *,
        task_type: Sequence[str | None],
        **columns: Any,
    ) -> list[float | None]:
        """What the library thinks of each answer, 0 to 1; `None` where it cannot say."""
        scored = self._scored("quality", completions, task_type, columns)
        self._count(scored.why)
        return scored.values

    def alignment(
        self,
        completions: Sequence[Completion],
        *,
        task_type: Sequence[str | None],
        **columns: Any,
    ) -> list[float | None]:
        """1 where an answer is near enough to its reference, else 0; `None` without reference."""
        scored = self._scored("alignment", completions, task_type, columns)
        self._count(scored.why)
        return scored.values

    def format(
        self,
        completions: Sequence[Completion],
        *,
        task_type: Sequence[str | None],
        **columns: Any,
    ) -> list[float | None]:
        """As `format_reward`."""
        return format_reward(completions, task_type=task_type, **columns)

    def components(
        self, completions: Sequence[Completion], *, task_type: Sequence[str | None], **columns: Any
    ) -> dict[str, list[float | None]]:
        """Each reward where its weight is above 0; `None` elsewhere and where unscored.

        Args:
            completions: N outputs.
            task_type: N task types.
            columns: Further columns of the data set, N values each.

        Returns:
            N values by name of the component.

        Raises:
            RewardError: More errors than `max_reward_errors`.
        """
        parts, why = self.look(completions, task_type=task_type, **columns)
        self._count(why)
        return parts

    def look(
        self, completions: Sequence[Completion], *, task_type: Sequence[str | None], **columns: Any
    ) -> tuple[dict[str, list[float | None]], dict[int, str]]:
        """As `components`, but counts no errors and so never ends.

        Args:
            completions: N outputs.
            task_type: N task types.
            columns: Further columns of the data set, N values each.

        Returns:
            N values by name of the component; and by the place of an output, why a reward of it
            is missing, once however many are.
        """
        why = {row: UNKNOWN for row, kind in enumerate(task_type) if kind not in WEIGHTS}
        parts = {}
        for name in COMPONENTS:
            rows = [
                row for row, kind in enumerate(task_type) if WEIGHTS.get(kind or "", {}).get(name)
            ]
            picked = {
                key: [values[row] for row in rows]
                for key, values in columns.items()
                if _is_column(values, len(completions))
            }
            outputs, kinds = [completions[row] for row in rows], [task_type[row] for row in rows]
            scored = self._scored(name, outputs, kinds, picked)
            values: list[float | None] = [None] * len(completions)
            for row, value in zip(rows, scored.values, strict=True):
                values[row] = value
            parts[name] = values
            why |= {rows[place]: reason for place, reason in scored.why.items()}
        return parts, why

    def combined(
        self,
        completions: Sequence[Completion],
        *,
        task_type: Sequence[str | None],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """The weighted sum by task type, for a trainer.

        Args:
            completions: N outputs, as text or as messages.
            task_type: N task types.
            log_metric: Takes name and value of each component's mean and, where `prompts` are
                there, of its spread: the mean over the groups of the standard deviation within
                one. TRL passes it.
            columns: Others that the trainer passes; the reference is among them, and `prompts`,
                by which outputs to one prompt are a group.

        Returns:
            N rewards in 0..1; `None` where a component of weight above 0 is `None`.

        Raises:
            RewardError: More errors than `max_reward_errors`.
        """
        parts = self.components(completions, task_type=task_type, **columns)
        rewards = self.weigh(parts, task_type)
        if log_metric is not None:
            _log(parts, rewards, columns.get("prompts"), log_metric)
        return rewards

    def weigh(
        self, parts: Mapping[str, Sequence[float | None]], task_type: Sequence[str | None]
    ) -> list[float | None]:
        """The weighted sums of what `components` gave: N values."""
        return [
            self._weighed(kind, {name: parts[name][row] for name in COMPONENTS})
            for row, kind in enumerate(task_type)
        ]

    def _weighed(self, task_type: str | None, values: Mapping[str, float | None]) -> float | None:
        total = _weighted(task_type, values)
        has_form = not self.config.require_form or values["format"] == 1
        return total if total is None or has_form else 0.0

    def library_of(self, task_type: str | None) -> Library | None:
        """The library that scores a task type, or `None`."""
        return self._scoring.libraries.get(task_type)

    def describe(self) -> dict[str, Any]:
        """What the rewards depend on, for the manifest of a training."""
        return {
            "mapping": self.config.mapping,
            "weights": WEIGHTS,
            "require_form": self.config.require_form,
            "libraries": {name: library.digest() for name, library in self._scoring.libraries},
            "alignment_thresholds": self.alignment_thresholds,
        }

    def _thresholds(self) -> dict[str, float]:
        """Alignment threshold of each library that serves a task type with alignment."""
        libraries = self._scoring.libraries
        weighed = [kind for kind, weights in WEIGHTS.items() if weights["alignment"]]
        serving = {id(libraries.get(kind)) for kind in weighed}
        return {
            name: self._scoring.threshold(library)
            for name, library in libraries
            if id(library) in serving
        }

    def _scored(
        self,
        name: str,
        completions: Sequence[Completion],
        task_type: Sequence[str | None],
        columns: Mapping[str, Any],
    ) -> Scored:
        """One component of N outputs, and why it is missing where it is."""
        if name == "format":
            return Scored(format_reward(completions, task_type=task_type))
        answers = _answers(completions)
        if name == "quality":
            return self._scoring.quality(answers, task_type)
        return self._scoring.alignment(
            answers, task_type, self._references(columns, len(completions))
        )

    def _references(self, columns: Mapping[str, Any], num_outputs: int) -> list[str]:
        values = columns.get(self.config.reference_column) or [None] * num_outputs
        outputs = [(value or "", parse(value or "")) for value in values]
        return [text.strip() if output is None else output.answer for text, output in outputs]

    def _count(self, why: Mapping[int, str]) -> None:
        """Counts outputs that could not be scored; too many end the training."""
        self.num_errors += len(why)
        if why and self.num_errors > self.config.max_reward_errors:
            raise RewardError(
                f"{self.num_errors:,} outputs could not be scored, at most "
                f"{self.config.max_reward_errors:,} may (max_reward_errors); the last because "
                f"{[*why.values()][-1]}"
            )


def _open(config: RewardConfig) -> Libraries:
    if config.library is None:
        raise ArgumentError("name the library of the rewards with --library")
    return open_libraries(config.library)


def _answers(completions: Sequence[Completion]) -> list[str]:
    outputs = [parse(completion_text(completion)) for completion in completions]
    return ["" if output is None else output.answer for output in outputs]


def _is_column(values: Any, num_outputs: int) -> bool:
    return isinstance(values, list | tuple) and len(values) == num_outputs


def _weighted(task_type: str | None, values: Mapping[str, float | None]) -> float | None:
    weights = WEIGHTS.get(task_type or "")
    if weights is None:
        return None
    total = 0.0
    for name, weight in weights.items():
        value = values[name]
        if weight and value is None:
            return None
        total += weight * (value or 0.0)
    return total


def _log(
    parts: Mapping[str, Sequence[float | None]],
    rewards: Sequence[float | None],
    prompts: Sequence[Any] | None,
    log_metric: Callable[[str, float], None],
) -> None:
    for name, values in parts.items():
        scored = [value for value in values if value is not None]
        if scored:
            log_metric(f"reward/{name}", sum(scored) / len(scored))
            if prompts is not None:
                log_metric(f"reward/{name}_spread", _spread(values, prompts))
    if rewards:
        log_metric("reward/unscored", sum(reward is None for reward in rewards) / len(rewards))


def _spread(values: Sequence[float | None], prompts: Sequence[Any]) -> float:
    """Mean over the groups of the standard deviation (ddof 0) of what is scored in one."""
    groups: dict[str, list[float]] = {}
    for prompt, value in zip(prompts, values, strict=True):
        if value is not None:
            groups.setdefault(str(prompt), []).append(value)
    return float(np.mean([np.std(group) for group in groups.values()]))
