"""Log-probabilities where each rank holds a part of the vocabulary.

Shapes: N rows, H hidden, V_r columns of this rank. Hidden states and labels are the same on all.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lmmixup_kernels.backend import check_same_device, choose
from lmmixup_kernels.head import Head, check_head, columns_are_rows
from lmmixup_kernels.logprobs import LogProbs
from lmmixup_kernels.schemes import Wanted, implementation, recompute
from lmmixup_kernels.statistics import RowGradient, Sums, from_sums


def vocab_parallel_logprobs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    group: Any = None,
    temperature: float = 1.0,
    bias: Tensor | None = None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    need_entropy: bool = False,
    backend: str | None = None,
) -> LogProbs:
    """As `lm_head_logprobs`, with the weight's rows spread over the ranks of a group.

    Args:
        hidden: (N, H), the same on every rank.
        weight: (V_r, H): this rank's rows, in the order of the ranks. Parts may differ in size, and
            one may be empty.
        targets: (N,) labels in 0..V - 1 of the whole vocabulary, the same on every rank.
        group: Process group; the default one if `None`.
        temperature: As there.
        bias: (V_r,).
        softcap: As there.
        logit_scale: As there.
        need_entropy: As there.
        backend: As there.

    Returns:
        The same on every rank, `scheme` `recompute`. The gradient of hidden is whole on every rank,
        that of the weight is of this rank's part.

    Raises:
        ValueError: As there.

    Notes:
        8 N H V_r FLOPs a rank. Communicates one maximum and three sums of N, and in the backward
        the gradient of hidden in fp32.

    Source:
        Ours.
    """
    if hidden.ndim != 2 or targets.shape != hidden.shape[:1]:
        raise ValueError(
            f"expected hidden (N, H) and targets (N,), got {tuple(hidden.shape)} and "
            f"{tuple(targets.shape)}"
        )
    head = Head(weight, bias, logit_scale, softcap or 0.0, temperature)
    check_head(hidden, head)
    check_same_device(
        [("weight", weight), ("hidden", hidden), ("targets", targets), ("bias", bias)]
    )
    chosen = choose("vocab_parallel_logprobs", hidden, backend)
    # numbers of columns stay on the device: nothing here waits for it
    sizes = [targets.new_zeros((), dtype=torch.int64) for _ in range(dist.get_world_size(group))]
    dist.all_gather(sizes, torch.full_like(sizes[0], len(weight)), group=group)
    ends = torch.stack(sizes).cumsum(0)
    first = ends[dist.get_rank(group)] - len(weight)
    bad = (targets < 0) | (targets >= ends[-1])
    if not targets.is_cuda and bool(bad.any()):
        raise ValueError(f"targets must be in 0..{int(ends[-1]) - 1}, got {int(targets[bad][0])}")
    logp, entropy, lse = _VocabParallel.apply(
        columns_are_rows(hidden), weight, bias, targets.long() - first, bad, group,
        (float(logit_scale), float(softcap or 0.0), float(temperature)), need_entropy, chosen,
    )  # fmt: skip
    return LogProbs(
        logp,
        entropy if need_entropy else None,
        lse,
        "recompute",
        bad.sum(),
        bad.new_zeros(()).long(),
    )


def _join(local: Sums, group: Any) -> Sums:
    """Sums around the maximum of all ranks; an empty part adds nothing."""
    m = local.m.clone()
    dist.all_reduce(m, dist.ReduceOp.MAX, group=group)
    ahead = local.m - m
    shift = torch.exp(ahead)
    # a rank without columns has s = 0 and a far maximum: 0 times a finite number
    sums = torch.stack([local.s * shift, shift * (local.xs + local.s * ahead), local.zy])
    dist.all_reduce(sums, group=group)
    return Sums(m, *sums)


class _VocabParallel(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, hidden, weight, bias, local_target, bad, group, scalars, need_entropy, backend
    ):  # type: ignore[no-untyped-def]
        head = Head(weight, bias, *scalars)
        ops = implementation(backend)
        local = ops.score(hidden, head, local_target, need_entropy=need_entropy)
        sums = _join(local, group)
        sums.zy.masked_fill_(bad, torch.nan)
        found = from_sums(sums, need_entropy=need_entropy)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(
            hidden, weight, bias, local_target, found.logp, found.entropy, found.lse, found.rest
        )
        ctx.group, ctx.scalars, ctx.backend = group, scalars, backend
        return found.logp, found.entropy, found.lse

    @staticmethod
    def backward(ctx, g, g_entropy, g_lse):  # type: ignore[no-untyped-def]
        hidden, weight, bias, target, logp, entropy, lse, rest = ctx.saved_tensors
        g = torch.zeros_like(logp) if g is None else g
        p_y = torch.exp(logp)
        share, at_label = -g, g * rest
        if g_lse is not None:
            share, at_label = share + g_lse, at_label + g_lse * p_y
        if g_entropy is not None:
            g_entropy = g_entropy.contiguous()
            at_label = at_label - g_entropy * p_y * (logp + entropy)
        lse = torch.where(torch.isnan(logp), torch.nan, lse)
        state = RowGradient(lse, share.contiguous(), at_label.contiguous(), g_entropy, entropy)
        wanted = Wanted(*ctx.needs_input_grad[:3])
        head = Head(weight, bias, *ctx.scalars)
        made = recompute(hidden, head, target, state, wanted, ctx.backend)
        if made.hidden is not None:
            dist.all_reduce(made.hidden, group=ctx.group)
        return (
            None if made.hidden is None else made.hidden.to(hidden.dtype),
            made.weight,
            None if made.bias is None else made.bias.to(bias.dtype),
            *[None] * 6,
        )
