"""Heads that DeepSpeed ZeRO-3 has partitioned: gathered in the forward and in the backward."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from lmmixup_kernels.head import Head, check_head
from lmmixup_kernels.steps import Row, backward_step, forward_step


def is_partitioned(parameter: Tensor) -> bool:
    """Whether ZeRO-3 keeps this parameter, whole or in parts."""
    return hasattr(parameter, "ds_id") and hasattr(parameter, "ds_status")


def gathered(*parameters: Tensor | None) -> AbstractContextManager[Any]:
    """Makes partitioned parameters whole while the context lasts.

    Args:
        parameters: What is about to be read; `None` and whole ones are passed over.

    Returns:
        A context. A parameter that is whole already, as a tied embedding is inside its model's
        forward, is left alone: to partition it again would break the embedding's own bookkeeping.
    """
    parts = {id(p): p for p in parameters if p is not None and is_partitioned(p)}
    if not parts:
        return nullcontext()
    import deepspeed
    from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus

    apart = [p for p in parts.values() if p.ds_status != ZeroParamStatus.AVAILABLE]  # type: ignore[attr-defined]
    return deepspeed.zero.GatheredParameters(apart) if apart else nullcontext()


class _Partitioned(torch.autograd.Function):
    """`lm_head_logprobs` of a parameter whose values are there only inside `gathered`."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, anchor, *options):  # type: ignore[no-untyped-def]
        *scalars, need_entropy, scheme, backend = options
        with gathered(weight, bias):
            head = Head(weight, bias, *scalars)
            check_head(hidden, head)
            made = forward_step(hidden, head, targets, anchor, need_entropy, scheme, backend)
        ctx.mark_non_differentiable(*made[3:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(hidden, weight, bias, targets, *made[:6])
        ctx.scalars, ctx.scheme, ctx.backend = scalars, scheme, backend
        return made

    @staticmethod
    def backward(ctx, *grads):  # type: ignore[no-untyped-def]
        hidden, weight, bias, targets, *kept = ctx.saved_tensors
        wanted = list(ctx.needs_input_grad[:3])
        has = [grad is not None for grad in grads[:3]]
        there = [grad.contiguous() for grad in grads[:3] if grad is not None]
        with gathered(weight, bias):
            head = Head(weight, bias, *ctx.scalars)
            made = backward_step(
                there, has, Row(*kept), hidden, head, targets, wanted, ctx.scheme, ctx.backend
            )
        return (*(g if want else None for g, want in zip(made, wanted, strict=True)), *[None] * 8)


def partitioned_logprobs(*inputs: Any) -> tuple[Tensor, ...]:
    """As the op of `lm_head_logprobs`, for a partitioned head; must run in the model's forward.

    Args:
        inputs: Those of the op.
    """
    made: tuple[Tensor, ...] = _Partitioned.apply(*inputs)
    return made
