"""From partial sums over the vocabulary to log-probability, entropy and log-sum-exp.

The label's own term is never in a sum: R = sum over v != y. So 1 - p_y and a logp near 0 keep
their relative accuracy. All per row, (N,) float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

SCORE_SPAN = 4096
"""Columns whose statistics belong together in `score`; fixed, so that bits do not depend on N."""

MOST = 60.0
"""|log S| beyond which a row's anchor is too far."""

FAR = -1.0e30
"""A maximum before the first logit; finite, so that differences stay finite."""


@dataclass(frozen=True)
class Statistics:
    """What is known of each row.

    Attributes:
        logp: Log-probability of the label.
        entropy: Of the row's distribution; empty if it was not asked for.
        lse: Log-sum-exp.
        rest: 1 - p_y.
    """

    logp: torch.Tensor
    entropy: torch.Tensor
    lse: torch.Tensor
    rest: torch.Tensor


class Sums(NamedTuple):
    """Sums of a row around its maximum m, over v != y.

    Attributes:
        m: Maximum, with the label's logit in it.
        s: Sum of exp(z - m).
        xs: Sum of exp(z - m) (z - m); zeros if no entropy was asked for.
        zy: The label's logit.
    """

    m: torch.Tensor
    s: torch.Tensor
    xs: torch.Tensor
    zy: torch.Tensor


class RowGradient(NamedTuple):
    """How dloss/dz of a row follows from its p: (weight - of_entropy (log p + entropy)) p.

    Attributes:
        lse: Log-sum-exp.
        weight: Of p at v != y.
        at_label: dloss/dz at the label.
        of_entropy: Gradient of the entropy, or `None`.
        entropy: The entropy; not read without `of_entropy`.
    """

    lse: torch.Tensor
    weight: torch.Tensor
    at_label: torch.Tensor
    of_entropy: torch.Tensor | None
    entropy: torch.Tensor

    def at(self, rows: torch.Tensor | slice) -> RowGradient:
        """Some of the rows."""
        parts = (self.lse[rows], self.weight[rows], self.at_label[rows])
        if self.of_entropy is None:
            return RowGradient(*parts, None, self.entropy[:0])
        return RowGradient(*parts, self.of_entropy[rows], self.entropy[rows])


def from_sums(sums: Sums, *, need_entropy: bool) -> Statistics:
    """Statistics by the online maximum."""
    ahead = sums.zy - sums.m
    # log(s + exp(ahead)), exact where the label is the maximum: ahead = 0
    log_S = torch.log1p(sums.s + torch.expm1(ahead))
    e_y = torch.exp(ahead)
    S = sums.s + e_y
    entropy = log_S - (sums.xs + e_y * ahead) / S if need_entropy else log_S.new_empty(0)
    return Statistics(ahead - log_S, entropy, sums.m + log_S, sums.s / S)


def from_anchor(
    R: torch.Tensor, xs: torch.Tensor, zy: torch.Tensor, anchor: torch.Tensor, *, need_entropy: bool
) -> tuple[Statistics, torch.Tensor, torch.Tensor]:
    """Statistics from exponentials around c = zy - anchor.

    Args:
        R: Sum of exp(z - c) over v != y.
        xs: Sum of exp(z - c) (z - c) over v != y.
        zy: The label's logit.
        anchor: A guess of logp.
        need_entropy: Whether to compute it.

    Returns:
        The statistics, 1 / S, and bool, whether the anchor was too far for this row.
    """
    e_y = torch.exp(anchor)
    S = R + e_y
    log_S = torch.log(S)
    logp = -torch.log1p(R * torch.exp(-anchor))
    entropy = log_S - (xs + e_y * anchor) / S if need_entropy else S.new_empty(0)
    far = ~(log_S.abs() <= MOST) | ~(anchor.abs() <= MOST) | ~torch.isfinite(R)
    return Statistics(logp, entropy, zy - logp, R / S), 1 / S, far


def either(far: torch.Tensor, there: Statistics, here: Statistics) -> Statistics:
    """Rows of `there` where `far`, of `here` elsewhere."""

    def pick(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.where(far, a, b) if len(b) == len(far) else b

    return Statistics(
        pick(there.logp, here.logp),
        pick(there.entropy, here.entropy),
        pick(there.lse, here.lse),
        pick(there.rest, here.rest),
    )
