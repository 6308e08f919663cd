"""`lm_head_loss`: a loss of log-probabilities, evaluated and differentiated chunk by chunk.

6NHV FLOPs at the memory of one chunk's exponentials, with the same loss function as anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from lmmixup_kernels.logprobs import LogProbs, lm_head_logprobs

LossFunction = Callable[[LogProbs, slice], Tensor]
"""Takes a chunk's log-probabilities and its rows; gives that chunk's part of the loss, ()."""

CHUNK = 4096
"""Rows of a chunk by default, or more where a sequence is longer."""


def lm_head_loss(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    loss_fn: LossFunction,
    *,
    ends: Sequence[int] | None = None,
    chunk: int = CHUNK,
    **options: Any,
) -> Tensor:
    """Sum of `loss_fn` over chunks of rows, with the gradients made on the way.

    Args:
        hidden: (N, H).
        weight: (V, H), whole (not partitioned by ZeRO-3).
        targets: (N,).
        loss_fn: Called once a chunk. Parts must add up to the loss: divide by what the whole batch
            has, not by the chunk. What it closes over gets no gradient.
        ends: Rows at which sequences end, rising, the last one N: chunks end there too. `None`
            lets a chunk end anywhere, which fits losses of single tokens.
        chunk: Rows at which a chunk is full.
        options: As `lm_head_logprobs` takes them; those with rows are cut along.

    Returns:
        () the loss; its backward only scales the gradients that are there.

    Raises:
        ValueError: `ends` that do not rise to N, and what `lm_head_logprobs` raises.

    Notes:
        Memory: exponentials of one chunk, 2 CV, and a gradient of each input in fp32. A chunk's
        gradient of the weight is rounded to its type once before it is added up in fp32.

    Source:
        Ours.

    Example:
        >>> import torch
        >>> hidden = torch.eye(2, requires_grad=True)
        >>> loss = lm_head_loss(hidden, torch.eye(2), torch.tensor([0, 1]),
        ...                     lambda out, rows: -out.logp.sum() / 2, backend="eager")
        >>> loss.backward(); round(loss.item(), 3), hidden.grad[0].tolist()[0] < 0
        (0.313, True)
    """
    if hidden.ndim != 2 or targets.shape != hidden.shape[:1]:
        raise ValueError(
            f"expected hidden (N, H) and targets (N,), got {tuple(hidden.shape)} and "
            f"{tuple(targets.shape)}"
        )
    cuts = _cuts(len(hidden), ends, chunk)
    bias = options.pop("bias", None)
    made: Tensor = _HeadLoss.apply(hidden, weight, bias, targets, loss_fn, cuts, options)
    return made


def _cuts(num_rows: int, ends: Sequence[int] | None, chunk: int) -> list[int]:
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    if ends is None:
        return [*range(0, num_rows, chunk), num_rows]
    if any(a >= b for a, b in pairwise([0, *ends])) or (ends[-1] if ends else 0) != num_rows:
        raise ValueError(f"ends must rise to {num_rows}, got {list(ends)[:8]}")
    cuts = [0]
    for end, after in pairwise([*ends, num_rows + chunk + 1]):
        if after - cuts[-1] > chunk:
            cuts.append(end)
    return cuts


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, loss_fn, cuts, options):  # type: ignore[no-untyped-def]
        inputs = (hidden, weight, bias)
        sums = [
            torch.zeros_like(t, dtype=torch.float32) if t is not None and need else None
            for t, need in zip(inputs, ctx.needs_input_grad[:3], strict=True)
        ]
        loss = hidden.new_zeros((), dtype=torch.float32)
        for start, stop in pairwise(cuts):
            rows = slice(start, stop)
            with torch.enable_grad():
                leaves = [
                    None if t is None else (t[rows] if at == 0 else t).detach().requires_grad_(
                        sums[at] is not None)
                    for at, t in enumerate(inputs)
                ]  # fmt: skip
                cut = {
                    name: value[rows] if name in ("mask", "anchor_logp") and value is not None
                    else value for name, value in options.items()
                }  # fmt: skip
                out = lm_head_logprobs(leaves[0], leaves[1], targets[rows], bias=leaves[2], **cut)
                part = loss_fn(out, rows)
            loss += part.detach()
            wanted = [leaf for leaf, total in zip(leaves, sums, strict=True) if total is not None]
            grads = iter(torch.autograd.grad(part, wanted) if wanted and part.requires_grad else ())
            for at, total in enumerate(sums):
                if total is not None and (grad := next(grads, None)) is not None:
                    (total[rows] if at == 0 else total).add_(grad)
        ctx.save_for_backward(*(None if s is None else s for s in sums))
        ctx.types = [None if t is None else t.dtype for t in inputs]
        return loss

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        sums = ctx.saved_tensors
        made = (
            None if s is None else (s * grad).to(dtype)
            for s, dtype in zip(sums, ctx.types, strict=True)
        )
        return (*made, None, None, None, None)
