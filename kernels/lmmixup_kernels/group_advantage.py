"""`group_advantage`: weighted rewards, their sum, and advantages within groups, in one kernel.

Shapes: N outputs, M rewards, G outputs of a group, D dimensions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from lmmixup_kernels.backend import check_same_device, choose, on_its_device


class GroupAdvantage(NamedTuple):
    """Advantages of a batch.

    Attributes:
        advantage: (N,) float32; 0 for an unscored output and in a group without variance.
        reward: (N,) float32, the weighted sum; NaN where the output is unscored.
        num_zero_variance: () int64 on the device: groups with one reward, or fewer than two scored.
    """

    advantage: torch.Tensor
    reward: torch.Tensor
    num_zero_variance: torch.Tensor


def group_advantage(
    rewards: torch.Tensor,
    weights: torch.Tensor,
    group_size: int,
    *,
    epsilon: float = 1e-4,
    embeddings: torch.Tensor | None = None,
    references: torch.Tensor | None = None,
    threshold: float = 0.8,
    alignment_weight: float = 0.0,
    backend: str | None = None,
) -> GroupAdvantage:
    """(reward - mean) / (standard deviation + epsilon) within each group of `group_size` rows.

    Args:
        rewards: (N, M) floating point, N a multiple of `group_size`; NaN for what could not be
            scored, which leaves the output out unless that reward's weight is 0.
        weights: (M,) or, by output, (N, M).
        group_size: Outputs of one prompt, in a row.
        epsilon: 1e-4 as in TRL, 1e-6 as in verl.
        embeddings: (N, D) vectors of the outputs; with `references`, 1 for a cosine of at least
            `threshold`, else 0, is one more reward of weight `alignment_weight`.
        references: (N, D) vectors of the reference outputs.
        threshold: Of the cosine.
        alignment_weight: Of the alignment.
        backend: `triton`, `eager`, or `None` for Triton where it can run.

    Returns:
        Advantages, summed rewards and a count. The deviation is that of a sample (ddof 1).

    Raises:
        ValueError: Shapes or sizes that do not fit.

    Notes:
        A group whose scored rewards are all equal has advantage 0, not 0 / epsilon of rounding.

    Source:
        GRPO (arXiv 2402.03300); rewards of LM-Mixup (arXiv 2510.20449); unscored outputs: ours.

    Example:
        >>> import torch
        >>> made = group_advantage(torch.tensor([[0.0], [1.0]]), torch.ones(1), 2, backend="eager")
        >>> made.advantage.round(decimals=3).tolist()
        [-0.707, 0.707]
    """
    _check(rewards, weights, group_size, embeddings, references)
    chosen = choose("group_advantage", rewards, backend)
    run = _eager if chosen == "eager" else _launch
    weights = weights.float().expand(rewards.shape).contiguous()
    return run(
        rewards.float().contiguous(), weights, group_size, epsilon, embeddings, references,
        threshold, alignment_weight,
    )  # fmt: skip


def _check(
    rewards: torch.Tensor, weights: torch.Tensor, group_size: int,
    embeddings: torch.Tensor | None, references: torch.Tensor | None,
) -> None:  # fmt: skip
    if rewards.ndim != 2 or not rewards.is_floating_point():
        raise ValueError(
            f"rewards must be (N, M) floats, got {rewards.dtype} {tuple(rewards.shape)}"
        )
    if weights.shape not in (rewards.shape, rewards.shape[1:]):
        raise ValueError(
            f"weights must have shape {tuple(rewards.shape[1:])} or {tuple(rewards.shape)}, "
            f"got {tuple(weights.shape)}"
        )
    if group_size < 1 or len(rewards) % group_size:
        raise ValueError(
            f"expected a multiple of group_size = {group_size} outputs, got {len(rewards)}"
        )
    if (embeddings is None) != (references is None):
        raise ValueError("embeddings and references come together or not at all")
    if embeddings is not None and references is not None:
        if embeddings.ndim != 2 or embeddings.shape != references.shape:
            raise ValueError(
                f"embeddings and references must have one shape (N, D), got "
                f"{tuple(embeddings.shape)} and {tuple(references.shape)}"
            )
        if len(embeddings) != len(rewards):
            raise ValueError(f"expected {len(rewards)} embeddings, got {len(embeddings)}")
    check_same_device([("rewards", rewards), ("weights", weights), ("embeddings", embeddings),
                       ("references", references)])  # fmt: skip


def _eager(
    rewards: torch.Tensor, weights: torch.Tensor, group_size: int, epsilon: float,
    embeddings: torch.Tensor | None, references: torch.Tensor | None, threshold: float,
    alignment_weight: float,
) -> GroupAdvantage:  # fmt: skip
    total = torch.where(weights == 0, 0, rewards * weights).sum(1)
    if embeddings is not None and references is not None and alignment_weight:
        a, b = embeddings.float(), references.float()
        lengths = a.square().sum(1).sqrt() * b.square().sum(1).sqrt()
        cosine = (a * b).sum(1) / lengths.clamp(min=1e-12)
        aligned = torch.where(torch.isnan(cosine), torch.nan, (cosine >= threshold).float())
        total = total + alignment_weight * aligned
    grouped = total.view(-1, group_size)
    scored = ~torch.isnan(grouped)
    count = scored.sum(1, keepdim=True)
    mean = torch.where(scored, grouped, 0).sum(1, keepdim=True) / count.clamp(min=1)
    away = torch.where(scored, grouped - mean, 0)
    deviation = (away.square().sum(1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
    high = torch.where(scored, grouped, -torch.inf).amax(1, keepdim=True)
    low = torch.where(scored, grouped, torch.inf).amin(1, keepdim=True)
    flat = (count < 2) | (high == low)
    advantage = torch.where(flat, 0, away / (deviation + epsilon))
    return GroupAdvantage(advantage.view(-1), total, flat.sum())


@on_its_device
def _launch(
    rewards: torch.Tensor, weights: torch.Tensor, group_size: int, epsilon: float,
    embeddings: torch.Tensor | None, references: torch.Tensor | None, threshold: float,
    alignment_weight: float,
) -> GroupAdvantage:  # fmt: skip
    import triton

    from lmmixup_kernels.advantage_kernel import advantage_kernel
    from lmmixup_kernels.head import columns_are_rows
    from lmmixup_kernels.launch import FUSION

    N, M = rewards.shape
    total, advantage = torch.empty(N, device=rewards.device), torch.empty(N, device=rewards.device)
    flat = torch.zeros((), dtype=torch.int64, device=rewards.device)
    align = embeddings is not None and bool(alignment_weight)
    a = columns_are_rows(embeddings) if align and embeddings is not None else None
    b = columns_are_rows(references) if align and references is not None else None
    D = a.shape[1] if a is not None else 0
    strides = (a.stride(0), b.stride(0)) if a is not None and b is not None else (0, 0)
    group, depth = triton.next_power_of_2(group_size), triton.next_power_of_2(max(D, 16))
    if N:
        advantage_kernel[(N // group_size,)](
            rewards, weights, a, b, total, advantage, flat,
            group_size, M, D, *strides, epsilon, threshold, alignment_weight,
            ALIGN=align, G=group, W=triton.next_power_of_2(max(M, 1)),
            # a tile of vectors stays in registers also for large groups
            DEPTH=min(256, depth, max(16, 8192 // group)), **FUSION,
        )  # fmt: skip
    return GroupAdvantage(advantage, total, flat)
