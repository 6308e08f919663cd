"""Advantages within groups, where an output without reward is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Advantages:
    """Advantages of a batch.

    Attributes:
        advantage_N: (N,) float64; 0 for an unscored output and in a group without variance.
        num_unscored: Outputs without reward.
        num_groups: Groups.
        num_zero_variance: Groups whose scored outputs all have one reward, or that have fewer
            than two.
    """

    advantage_N: NDArray[np.float64]  # noqa: N815
    num_unscored: int
    num_groups: int
    num_zero_variance: int


def group_advantages(
    rewards: Sequence[float | None], groups_N: NDArray[np.integer], *, epsilon: float = 1e-4
) -> Advantages:
    """(reward - mean) / (standard deviation + epsilon) within each group.

    Args:
        rewards: N rewards; `None` or NaN where an output could not be scored.
        groups_N: (N,) group of each output, any whole numbers.
        epsilon: 1e-4 as in TRL, 1e-6 as in verl.

    Returns:
        Advantages and counts. The deviation is that of a sample (ddof 1), over the scored
        outputs of the group.

    Source:
        GRPO (arXiv 2402.03300); unscored outputs: ours.

    Example:
        >>> import numpy as np
        >>> made = group_advantages([0.0, 1.0, None, 0.5], np.array([0, 0, 0, 1]))
        >>> made.advantage_N.round(3).tolist(), made.num_unscored, made.num_zero_variance
        ([-0.707, 0.707, 0.0, 0.0], 1, 1)
    """
    values_N = np.array([np.nan if reward is None else reward for reward in rewards], np.float64)
    scored_N = ~np.isnan(values_N)
    advantage_N = np.zeros(len(values_N))
    _, group_N = np.unique(groups_N, return_inverse=True)
    num_groups = int(group_N.max()) + 1 if len(group_N) else 0
    num_zero = 0
    for group in range(num_groups):
        rows = np.flatnonzero((group_N == group) & scored_N)
        some = values_N[rows]
        if len(some) < 2 or some.min() == some.max():
            num_zero += 1
            continue
        advantage_N[rows] = (some - some.mean()) / (some.std(ddof=1) + epsilon)
    return Advantages(advantage_N, int((~scored_N).sum()), num_groups, num_zero)
