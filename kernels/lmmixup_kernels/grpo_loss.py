"""`grpo_loss`: the one copy of the loss, over log-probabilities, for loops without TRL.

Shapes: B sequences, T tokens.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch

LossType = Literal["grpo", "dapo", "bnpo", "dr_grpo", "cispo"]
Level = Literal["token", "sequence"]
Estimator = Literal["k1", "k2", "k3"]


class GrpoLoss(NamedTuple):
    """The loss and what to log.

    Attributes:
        loss: () with gradient.
        kl: () mean over tokens of the estimator, detached; 0 where beta is 0.
        clipped_low: () share of tokens (of sequences at sequence level) whose ratio is clipped
            from below.
        clipped_high: () the same from above.
    """

    loss: torch.Tensor
    kl: torch.Tensor
    clipped_low: torch.Tensor
    clipped_high: torch.Tensor


def grpo_loss(
    logp: torch.Tensor,
    advantage: torch.Tensor,
    mask: torch.Tensor,
    *,
    old_logp: torch.Tensor | None = None,
    ref_logp: torch.Tensor | None = None,
    loss_type: LossType = "dapo",
    level: Level = "token",
    epsilon_low: float = 0.2,
    epsilon_high: float = 0.2,
    delta: float | None = None,
    beta: float = 0.0,
    kl: Estimator = "k3",
    kl_by_ratio: bool = True,
    num_tokens: torch.Tensor | float | None = None,
    max_length: int | None = None,
    sampler_ratio: torch.Tensor | None = None,
) -> GrpoLoss:
    """Clipped policy-gradient loss of GRPO and its relatives.

    Args:
        logp: (B, T) log-probabilities of the policy, float32, with gradient.
        advantage: (B,) or (B, T).
        mask: (B, T) bool or 0 / 1: tokens that count.
        old_logp: (B, T) of the policy that sampled; `None` is on-policy, a ratio of exactly 1.
        ref_logp: (B, T) of the reference; needed where `beta` is not 0.
        loss_type: How tokens are averaged: `grpo` by sequence, then over sequences; `bnpo` over
            this batch's tokens; `dapo` over `num_tokens`; `dr_grpo` over B * `max_length`.
            `cispo` clips the ratio above at `epsilon_high`, without gradient, weighs logp by it,
            and averages as `dapo`.
        level: `token`, or `sequence` for GSPO: one ratio a sequence, exp of the mean log ratio.
        epsilon_low: The ratio is clipped below at 1 - this.
        epsilon_high: And above at 1 + this.
        delta: Also the unclipped ratio ends here, which bounds the loss of negative advantages
            (dual clip; 3.0 in the paper, with clips 0.2 and 0.3). `None` for no bound.
        beta: Weight of the KL divergence.
        kl: With d = ref_logp - logp: `k1` -d, `k2` d^2 / 2, `k3` exp(d) - d - 1.
        kl_by_ratio: Multiplies the KL term with the ratio, as TRL does by default.
        num_tokens: Divisor of `dapo` and `cispo`; those of this batch if `None`.
        max_length: Of `dr_grpo`; T if `None`.
        sampler_ratio: (B, T) or (B, 1) correction where another engine sampled.

    Returns:
        The loss, and detached means for the log.

    Raises:
        ValueError: Shapes that do not fit, an unknown name, `beta` without `ref_logp`.

    Notes:
        A batch without any token gives 0 with a gradient of 0, not NaN.

    Source:
        GRPO (arXiv 2402.03300), DAPO (2503.14476), Dr. GRPO (2503.20783), CISPO (2506.13585), GSPO
        (2507.18071), dual clip (1912.09729); k1, k2, k3: Schulman, "Approximating KL divergence".

    Example:
        >>> import torch
        >>> logp = torch.full((1, 2), -1.0, requires_grad=True)
        >>> made = grpo_loss(logp, torch.tensor([0.5]), torch.ones(1, 2), loss_type="grpo")
        >>> made.loss.item()
        -0.5
    """
    mask = _check(logp, advantage, mask, old_logp, ref_logp, loss_type, level, kl, beta)
    advantage = advantage.unsqueeze(1) if advantage.ndim == 1 else advantage
    log_ratio = logp - (logp.detach() if old_logp is None else old_logp)
    if level == "sequence":
        log_ratio = (log_ratio * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    ratio = torch.exp(log_ratio)
    if loss_type == "cispo":
        loss = -ratio.clamp(max=epsilon_high).detach() * advantage * logp
        low = torch.zeros_like(ratio, dtype=torch.bool)
        high = (ratio > epsilon_high) & (advantage > 0)
    else:
        clipped = ratio.clamp(1 - epsilon_low, 1 + epsilon_high)
        free = ratio if delta is None else ratio.clamp(max=delta)
        loss = -torch.minimum(free * advantage, clipped * advantage)
        low = (ratio < 1 - epsilon_low) & (advantage < 0)
        high = (ratio > 1 + epsilon_high) & (advantage > 0)
    if sampler_ratio is not None:
        loss = loss * sampler_ratio
    divergence = torch.zeros_like(logp)
    if beta and ref_logp is not None:
        divergence = estimate_kl(logp, ref_logp, kl)
        loss = loss + beta * (divergence * ratio if kl_by_ratio else divergence)
    with torch.no_grad():
        shares = [_mean(x.float(), mask) for x in (divergence, low, high)]
    return GrpoLoss(_average(loss, mask, loss_type, num_tokens, max_length), *shares)


def estimate_kl(logp: torch.Tensor, ref_logp: torch.Tensor, kl: Estimator) -> torch.Tensor:
    """KL(policy, reference) of single tokens, by one of three estimators."""
    d = ref_logp - logp
    if kl == "k1":
        return -d
    return d.square() / 2 if kl == "k2" else torch.exp(d) - d - 1


def _average(
    loss: torch.Tensor, mask: torch.Tensor, loss_type: LossType,
    num_tokens: torch.Tensor | float | None, max_length: int | None,
) -> torch.Tensor:  # fmt: skip
    if loss_type == "grpo":
        return ((loss * mask).sum(1) / mask.sum(1).clamp(min=1)).mean()
    total = (loss * mask).sum()
    if loss_type == "dr_grpo":
        return total / (len(mask) * (mask.shape[1] if max_length is None else max_length))
    if loss_type == "bnpo" or num_tokens is None:
        return total / mask.sum().clamp(min=1)
    if isinstance(num_tokens, torch.Tensor):
        return total / num_tokens.clamp(min=1)
    return total / max(num_tokens, 1)


def _mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    if values.shape[1] == 1 and mask.shape[1] != 1:
        return values.mean()
    return (values * mask).sum() / mask.sum().clamp(min=1)


def _check(
    logp: torch.Tensor, advantage: torch.Tensor, mask: torch.Tensor,
    old_logp: torch.Tensor | None, ref_logp: torch.Tensor | None,
    loss_type: str, level: str, kl: str, beta: float,
) -> torch.Tensor:  # fmt: skip
    for name, value, allowed in (("loss_type", loss_type, LossType), ("level", level, Level),
                                 ("kl", kl, Estimator)):  # fmt: skip
        if value not in get_args(allowed):
            raise ValueError(f"{name} must be one of {', '.join(get_args(allowed))}, got {value!r}")
    if logp.ndim != 2 or not logp.is_floating_point():
        raise ValueError(f"logp must be (B, T) floats, got {logp.dtype} {tuple(logp.shape)}")
    for name, tensor in (("mask", mask), ("old_logp", old_logp), ("ref_logp", ref_logp)):
        if tensor is not None and tensor.shape != logp.shape:
            raise ValueError(
                f"{name} must have the shape of logp, {tuple(logp.shape)}, "
                f"got {tuple(tensor.shape)}"
            )
    if advantage.shape not in (logp.shape[:1], logp.shape):
        raise ValueError(
            f"advantage must have shape ({len(logp)},) or {tuple(logp.shape)}, "
            f"got {tuple(advantage.shape)}"
        )
    if beta and ref_logp is None:
        raise ValueError(f"beta = {beta} needs ref_logp; pass it, or beta=0")
    return mask.to(logp.dtype)
