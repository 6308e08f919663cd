"""A look at the rewards of a sample of outputs, before any GPU hour is spent on them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.library.metrics import spearman
from lmmixup.rewards.advantages import group_advantages
from lmmixup.rewards.form import FORMAT_BRANCHES, completion_text
from lmmixup.rewards.mapping import BRANCHES
from lmmixup.rewards.rewards import WEIGHTS, Rewards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmmixup.rewards.form import Completion

MIN_FOR_BRANCHES = 20
"""Scored outputs from which a value that never comes is called dead."""

FLAT = 1e-3
"""Standard deviation below which a reward tells outputs apart by nothing."""

LENGTH_LIMIT = 0.5
ZERO_VARIANCE_LIMIT = 0.5
UNSCORED_LIMIT = 0.01


@dataclass(frozen=True)
class ComponentAudit:
    """One reward over one task type, or over all.

    Attributes:
        task_type: The task type, or `all`.
        name: `quality`, `alignment`, `format` or `combined`.
        num_outputs: Outputs that it has a weight for.
        unscored: Share of them without reward.
        mean: Mean of the scored ones; `None` where there are none.
        std: Their standard deviation; `None` where there are none.
        length_correlation: Spearman with the bytes of the output; `None` where one is constant.
        dead: Values that it could take and never took.
    """

    task_type: str
    name: str
    num_outputs: int
    unscored: float
    mean: float | None
    std: float | None
    length_correlation: float | None
    dead: tuple[float, ...]


@dataclass(frozen=True)
class Audit:
    """What a sample says of the rewards.

    Attributes:
        num_outputs: Outputs of the sample.
        num_groups: Groups of outputs to one prompt.
        zero_variance: Share of groups from which nothing is learnt.
        unscored: Share of outputs without a combined reward.
        unscored_reasons: How many there are by reason.
        alignment_thresholds: Least cosine that counts as aligned, by library.
        rows: One entry for each task type and reward, and for all together where there are several.
        warnings: Sentences on what should be mended first; empty where all is well.
    """

    num_outputs: int
    num_groups: int
    zero_variance: float
    unscored: float
    unscored_reasons: dict[str, int]
    alignment_thresholds: dict[str, float]
    rows: tuple[ComponentAudit, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def audit(
    rewards: Rewards,
    completions: Sequence[Completion],
    groups_N: NDArray[np.integer],
    *,
    task_type: Sequence[str | None],
    **columns: Any,
) -> Audit:
    """Rewards a sample and says what is wrong with the rewards.

    Args:
        rewards: What is looked at; its `max_reward_errors` ends nothing here.
        completions: N outputs.
        groups_N: (N,) number of the prompt of each.
        task_type: N task types.
        columns: Further columns, such as the reference.

    Returns:
        Shares, correlations and warnings.

    Source:
        Ours.
    """
    parts, why = rewards.look(completions, task_type=task_type, **columns)
    parts["combined"] = rewards.weigh(parts, task_type)
    advantages = group_advantages(parts["combined"], groups_N)
    num_bytes = np.array([len(completion_text(c).encode()) for c in completions])
    rows = []
    kinds = sorted({str(kind) for kind in task_type})
    for kind in kinds if len(kinds) == 1 else [*kinds, "all"]:
        branches = _branches(rewards.config.mapping, kind)
        here = [kind in ("all", str(given)) for given in task_type]
        for name, values in parts.items():
            weighed = [
                row for row, given in enumerate(task_type) if here[row] and _has(name, given)
            ]
            if weighed:
                picked = [values[row] for row in weighed]
                rows.append(
                    _component(kind, name, picked, num_bytes[weighed], branches.get(name, ()))
                )
    num_outputs, num_groups = len(completions), advantages.num_groups
    zero_variance = advantages.num_zero_variance / max(num_groups, 1)
    unscored = advantages.num_unscored / max(num_outputs, 1)
    warnings = tuple(_warnings(rows, zero_variance, unscored))
    return Audit(
        num_outputs,
        num_groups,
        zero_variance,
        unscored,
        dict(Counter(why.values()).most_common()),
        rewards.alignment_thresholds,
        tuple(rows),
        warnings,
    )


def _branches(mapping: str, task_type: str) -> dict[str, tuple[float, ...]]:
    """The values that each reward should take; a paragraph in its tags has the right form."""
    form = (0.0, 1.0) if task_type == "para" else FORMAT_BRANCHES
    own: dict[str, tuple[float, ...]] = {"alignment": (0.0, 1.0), "format": form}
    return own | ({"quality": BRANCHES[mapping]} if mapping in BRANCHES else {})


def _has(name: str, task_type: str | None) -> bool:
    return name == "combined" or bool(WEIGHTS.get(task_type or "", {}).get(name))


def _component(
    task_type: str,
    name: str,
    values: Sequence[float | None],
    num_bytes: NDArray[np.int64],
    branches: Sequence[float],
) -> ComponentAudit:
    scored = np.array([value is not None for value in values])
    numbers = np.array([value for value in values if value is not None], np.float64)
    correlation = spearman(numbers, num_bytes[scored]) if len(numbers) > 1 else float("nan")
    enough = len(numbers) >= MIN_FOR_BRANCHES
    return ComponentAudit(
        task_type,
        name,
        len(values),
        float(1 - scored.mean()),
        float(numbers.mean()) if len(numbers) else None,
        float(numbers.std()) if len(numbers) else None,
        None if np.isnan(correlation) else correlation,
        tuple(branch for branch in branches if enough and not np.isclose(numbers, branch).any()),
    )


def _warnings(rows: Sequence[ComponentAudit], zero_variance: float, unscored: float) -> list[str]:
    found = []
    if unscored > UNSCORED_LIMIT:
        found.append(f"{unscored:.1%} of the outputs have no reward")
    if zero_variance > ZERO_VARIANCE_LIMIT:
        found.append(f"{zero_variance:.1%} of the groups have one reward: nothing is learnt there")
    for row in rows:
        where = f"{row.name} of {row.task_type}"
        if row.dead:
            values = ", ".join(f"{value:g}" for value in row.dead)
            found.append(f"{where} is never {values}")
        if row.std is not None and row.std < FLAT and row.num_outputs >= MIN_FOR_BRANCHES:
            found.append(f"{where} is {row.mean:.3g} for all outputs")
        if row.length_correlation is not None and abs(row.length_correlation) > LENGTH_LIMIT:
            found.append(
                f"{where} follows the length of the output (Spearman {row.length_correlation:.2f})"
            )
    return found
