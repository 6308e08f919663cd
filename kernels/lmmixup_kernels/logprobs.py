"""`lm_head_logprobs`: log-probability, entropy and log-sum-exp without the logits."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lmmixup_kernels.backend import check_same_device, choose
from lmmixup_kernels.gather import is_partitioned, partitioned_logprobs
from lmmixup_kernels.head import Head, check_head, columns_are_rows
from lmmixup_kernels.schemes import ANCHOR, Scheme, choose_scheme
from lmmixup_kernels.steps import Row, backward_step, forward_step


class LogProbs(NamedTuple):
    """What is known of each row; all zeros where it is masked.

    Attributes:
        logp: Log-probability of the label, float32, the shape of the targets.
        entropy: Entropy in nats, the same; `None` if it was not asked for.
        lse: Log-sum-exp of the logits, the same.
        scheme: `score`, `frozen`, `stored` or `recompute`: what was chosen.
        num_bad_labels: () int64 on the device: labels out of range, whose rows are NaN.
        num_far: () int64 on the device: rows whose anchor was too far, scored by their maximum.
    """

    logp: Tensor
    entropy: Tensor | None
    lse: Tensor
    scheme: Scheme
    num_bad_labels: Tensor
    num_far: Tensor


def lm_head_logprobs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    bias: Tensor | None = None,
    softcap: float | None = None,
    logit_scale: float = 1.0,
    anchor_logp: Tensor | None = None,
    need_entropy: bool = False,
    memory_budget: int | None = None,
    scheme: Scheme | None = None,
    backend: str | None = None,
) -> LogProbs:
    """Log-probabilities of labels from hidden states and the head, without N x V logits.

    z = cap(logit_scale * (hidden @ weight^T + bias)) / temperature; logp = z_y - logsumexp(z).

    Args:
        hidden: (..., H) bf16, fp16 or fp32; rows may be strided.
        weight: (V, H) of the same dtype, rows contiguous; a parameter that ZeRO-3 has partitioned
            is gathered in the forward and in the backward.
        targets: (...) whole numbers in 0..V - 1 where not masked.
        mask: (...) bool; rows outside cost nothing and are 0. Counting them synchronises with
            the host once: pass only the rows that count, and no mask, to avoid it.
        temperature: Above 0.
        bias: (V,).
        softcap: cap(u) = softcap * tanh(u / softcap).
        logit_scale: Multiplies the logits before the cap.
        anchor_logp: (...) a guess of logp, such as the sampling policy's; any finite value
            within 60 does, and -10 is taken where there is none.
        need_entropy: Whether to compute the entropy.
        memory_budget: Bytes that stored exponentials may take, 4 GiB by default.
        scheme: Overrides the choice; see `LogProbs.scheme`.
        backend: `triton`, `eager`, or `None` for Triton where it can run.

    Returns:
        Log-probabilities, entropies and log-sum-exps, all with gradient, and what was chosen.

    Raises:
        ValueError: Shapes, devices or ranges that do not fit; on a CPU also a label out of range.
        TypeError: Types that do not fit.

    Notes:
        2, 4, 6 or 8 N H V FLOPs by scheme, forward and backward together. Logits are summed and
        kept in fp32. Within one scheme a row has the same bits for any N and any place. `frozen`
        makes the gradient of hidden in the forward. A gradient of the entropy, and in `stored`
        one of lse, takes the `recompute` way in the backward.

    Source:
        Ours; see docs/decisions/0020-kernels.md.

    Example:
        >>> import torch
        >>> hidden, weight = torch.eye(2), torch.eye(2)
        >>> out = lm_head_logprobs(hidden, weight, torch.tensor([0, 1]), backend="eager")
        >>> out.logp.round(decimals=3).tolist(), out.scheme
        ([-0.313, -0.313], 'score')
    """
    shape = targets.shape
    partitioned = is_partitioned(weight)
    _check_rows(hidden, targets, mask, anchor_logp)
    if not partitioned:
        check_head(hidden, Head(weight, bias, logit_scale, softcap or 0.0, temperature))
    check_same_device([("weight", weight), ("hidden", hidden), ("targets", targets),
                       ("bias", bias), ("mask", mask), ("anchor_logp", anchor_logp)])  # fmt: skip
    flat = [hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)]
    flat.append(
        flat[0].new_full(flat[1].shape, ANCHOR, dtype=torch.float32)
        if anchor_logp is None
        else anchor_logp.detach().reshape(-1).float()
    )
    rows = None
    if mask is not None:
        rows = mask.reshape(-1).nonzero().squeeze(1)
        flat = [tensor.index_select(0, rows) for tensor in flat]
    hidden_NH = columns_are_rows(flat[0])
    target_N, anchor_N = flat[1].long().contiguous(), flat[2].contiguous()
    head = Head(weight, bias, float(logit_scale), float(softcap or 0.0), float(temperature))
    if scheme is None:
        grad = torch.is_grad_enabled()
        scheme = choose_scheme(
            len(hidden_NH),
            weight.ds_shape[0] if partitioned else head.size,  # type: ignore[attr-defined]
            needs_hidden=grad and hidden.requires_grad,
            needs_head=grad and (weight.requires_grad or (bias is not None and bias.requires_grad)),
            dtype=hidden.dtype,
            memory_budget=memory_budget,
        )
    chosen = choose("lm_head_logprobs", hidden, backend)
    run = partitioned_logprobs if partitioned else _op
    made = run(
        hidden_NH, weight, bias, target_N, anchor_N, head.logit_scale, head.softcap,
        head.temperature, need_entropy, scheme, chosen,
    )  # fmt: skip
    logp, entropy, lse, _, _, _, counts = made

    def spread(values: Tensor) -> Tensor:
        if rows is not None:
            values = values.new_zeros(shape.numel()).index_copy(0, rows, values)
        return values.reshape(shape)

    return LogProbs(
        spread(logp), spread(entropy) if need_entropy else None, spread(lse), scheme,
        counts[0], counts[1],
    )  # fmt: skip


def _check_rows(
    hidden: Tensor, targets: Tensor, mask: Tensor | None, anchor_logp: Tensor | None
) -> None:
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise TypeError(f"targets must be whole numbers, got {targets.dtype}")
    for name, tensor in (("targets", targets), ("mask", mask), ("anchor_logp", anchor_logp)):
        if tensor is not None and tensor.shape != hidden.shape[:-1]:
            raise ValueError(
                f"{name} must have the shape of hidden without H, {tuple(hidden.shape[:-1])}, "
                f"got {tuple(tensor.shape)}"
            )
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(f"mask must be bool, got {mask.dtype}; pass mask.bool()")
    if anchor_logp is not None and not anchor_logp.is_floating_point():
        raise TypeError(f"anchor_logp must be floating point, got {anchor_logp.dtype}")


@torch.library.custom_op("lmmixup::lm_head_logprobs", mutates_args=())
def _op(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, anchor: Tensor,
    logit_scale: float, softcap: float, temperature: float, need_entropy: bool, scheme: str,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    head = Head(weight, bias, logit_scale, softcap, temperature)
    return forward_step(hidden, head, targets, anchor, need_entropy, scheme, backend)


@_op.register_fake
def _fake(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, anchor: Tensor,
    logit_scale: float, softcap: float, temperature: float, need_entropy: bool, scheme: str,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    N, H = hidden.shape
    row = hidden.new_empty(N, dtype=torch.float32)
    big = hidden.new_empty(0)
    if scheme == "frozen":
        big = hidden.new_empty((N, H), dtype=torch.float32)
    elif scheme == "stored":
        big = hidden.new_empty(
            (N, weight.shape[0]),
            dtype=torch.bfloat16 if hidden.dtype == torch.bfloat16 else torch.float32,
        )
    return (
        row,
        hidden.new_empty(N if need_entropy else 0, dtype=torch.float32),
        torch.empty_like(row),
        big,
        hidden.new_empty((3, N), dtype=torch.float32),
        hidden.new_empty(N, dtype=torch.bool),
        hidden.new_empty(2, dtype=torch.int64),
    )


@torch.library.custom_op("lmmixup::lm_head_logprobs_backward", mutates_args=())
def _backward_op(
    grads: list[Tensor], has: list[bool], kept: list[Tensor], hidden: Tensor, weight: Tensor,
    bias: Tensor | None, targets: Tensor, logit_scale: float, softcap: float, temperature: float,
    wanted: list[bool], scheme: str, backend: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    head = Head(weight, bias, logit_scale, softcap, temperature)
    return backward_step(grads, has, Row(*kept), hidden, head, targets, wanted, scheme, backend)


@_backward_op.register_fake
def _backward_fake(
    grads: list[Tensor], has: list[bool], kept: list[Tensor], hidden: Tensor, weight: Tensor,
    bias: Tensor | None, targets: Tensor, logit_scale: float, softcap: float, temperature: float,
    wanted: list[bool], scheme: str, backend: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    like = (hidden, weight, bias)
    return tuple(
        torch.empty_like(t) if want and t is not None else hidden.new_empty(0)
        for t, want in zip(like, wanted, strict=True)
    )


def _setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    hidden, weight, bias, targets = inputs[:4]
    logp, entropy, lse, *kept, counts = output
    ctx.mark_non_differentiable(*kept, counts)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(hidden, weight, bias, targets, logp, entropy, lse, *kept)
    ctx.head = inputs[5:8]
    ctx.scheme, ctx.backend = inputs[9], inputs[10]


def _backward(ctx, *grads):  # type: ignore[no-untyped-def]
    hidden, weight, bias, targets, *kept = ctx.saved_tensors
    has = [grad is not None for grad in grads[:3]]
    wanted = list(ctx.needs_input_grad[:3])
    made = _backward_op(
        [grad.contiguous() for grad in grads[:3] if grad is not None], has, kept, hidden, weight,
        bias, targets, *ctx.head, wanted, ctx.scheme, ctx.backend,
    )  # fmt: skip
    return (*(g if want else None for g, want in zip(made, wanted, strict=True)), *[None] * 8)


_op.register_autograd(_backward, setup_context=_setup_context)
