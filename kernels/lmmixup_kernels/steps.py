"""Forward and backward of `lm_head_logprobs`, as plain functions of tensors."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor

from lmmixup_kernels.backend import Backend
from lmmixup_kernels.head import Head
from lmmixup_kernels.schemes import (
    BLOCK,
    FLOPS_NHV,
    Grads,
    Labels,
    Scheme,
    Wanted,
    anchored,
    from_stored,
    recompute,
    score,
)
from lmmixup_kernels.statistics import RowGradient


class Row(NamedTuple):
    """What the forward keeps.

    Attributes:
        logp: (N,).
        entropy: (N,) or empty.
        lse: (N,).
        big: E (N, V), the frozen sum (N, H), or empty.
        rows: (3, N): 1 - p_y, 1 / S, the cap's slope at the label.
        far: (N,) bool: rows that are not in `big`.
    """

    logp: Tensor
    entropy: Tensor
    lse: Tensor
    big: Tensor
    rows: Tensor
    far: Tensor


def forward_step(
    hidden: Tensor, head: Head, targets: Tensor, anchor: Tensor, need_entropy: bool, scheme: str,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Statistics of each row and what the backward needs.

    Args:
        hidden: (N, H).
        head: The head.
        targets: (N,) int64.
        anchor: (N,) float32.
        need_entropy: Whether to compute it.
        scheme: One of `Scheme`.
        backend: One of `Backend`.

    Returns:
        The six tensors of `Row`, and (2,) int64: bad labels and far rows.

    Raises:
        ValueError: A label out of range on a CPU, or an unknown scheme.
    """
    if scheme not in FLOPS_NHV:
        raise ValueError(f"scheme must be one of {', '.join(FLOPS_NHV)}, got {scheme!r}")
    run = cast("Backend", backend)
    bad = (targets < 0) | (targets >= head.size)
    if not targets.is_cuda and bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise ValueError(
            f"targets must be in 0..{head.size - 1}, got {int(targets[row])} in row {row}; "
            f"mask what has no label"
        )
    far = torch.zeros_like(bad)
    big = hidden.new_empty(0)
    if scheme in ("score", "recompute"):
        found = score(hidden, head, targets, run, need_entropy=need_entropy)
        extra = [torch.ones_like(found.lse), torch.ones_like(found.lse)]
    else:
        found, kept = anchored(
            hidden, head, targets, anchor, cast("Scheme", scheme), run, need_entropy=need_entropy
        )
        big, far, extra = kept.big, kept.far, [kept.inverse, kept.slope]
    rows = torch.stack([found.rest, *extra])
    counts = torch.stack([bad.sum(), (far & ~bad).sum()])
    return found.logp, found.entropy, found.lse, big, rows, far, counts


def backward_step(
    grads: list[Tensor], has: list[bool], kept: Row, hidden: Tensor, head: Head, targets: Tensor,
    wanted: list[bool], scheme: str, backend: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of hidden, weight and bias.

    Args:
        grads: Those of logp, entropy and lse that there are.
        has: Which of the three there are.
        kept: What the forward kept.
        hidden: (N, H).
        head: The head.
        targets: (N,) int64.
        wanted: Which of the three gradients are needed.
        scheme: One of `Scheme`.
        backend: One of `Backend`.

    Returns:
        The gradients, in the types of what they belong to; empty where not wanted.
    """
    given = iter(grads)
    g, g_entropy, g_lse = (next(given) if there else None for there in has)
    want, run = Wanted(*wanted), cast("Backend", backend)
    g = torch.zeros_like(kept.lse) if g is None else g
    if scheme == "frozen" and g_entropy is None and not (want.weight or want.bias):
        made, any_far = _frozen(g, g_lse, kept, hidden, head, targets, hidden.dtype)
    elif scheme == "stored" and g_entropy is None and g_lse is None:
        made, any_far = _stored(g, kept, hidden, head, targets, want)
    else:
        made = _by_slices(g, g_entropy, g_lse, kept, hidden, head, targets, want, run)
        any_far = False
    if any_far:
        _add_far(made, g, g_lse, kept, hidden, head, targets, want, run)
    return _typed(made, hidden, head)


def _frozen(
    g: Tensor, g_lse: Tensor | None, kept: Row, hidden: Tensor, head: Head, targets: Tensor,
    dtype: torch.dtype,
) -> tuple[Grads, bool]:  # fmt: skip
    """The gradient of hidden in `dtype`, but of the far rows, and whether there are any."""
    rest, inverse, slope = kept.rows
    weight = -g if g_lse is None else g_lse - g
    # at the label it is g (1 - p_y) + g_lse p_y
    at_label = -weight * rest if g_lse is None else g_lse - weight * rest
    factor = torch.where(kept.far, 0, weight * inverse * head.factor).unsqueeze(1)
    at_label = torch.where(kept.far, 0, at_label * slope * head.factor).unsqueeze(1)
    labels = targets.clamp(0, head.size - 1)
    made = torch.empty_like(hidden, dtype=dtype)
    for row in range(0, len(hidden), BLOCK):
        rows = slice(row, row + BLOCK)
        dX = kept.big[rows] * factor[rows]
        made[rows] = dX.addcmul_(at_label[rows], head.weight_VH[labels[rows]].float())
    return Grads(made, None, None), bool(kept.far.any())


def _stored(
    g: Tensor, kept: Row, hidden: Tensor, head: Head, targets: Tensor, want: Wanted
) -> tuple[Grads, bool]:
    """Gradients of the rows between the first and the last that has one, but of the far rows."""
    rest, inverse, slope = kept.rows
    factor = torch.where(kept.far, 0, -g * inverse * head.factor)
    first, last, any_far = _look(factor, kept.far)
    some = slice(first, last)
    R = torch.where(kept.far, 0, rest / inverse)[some]
    labels = Labels(targets[some].clamp(0, head.size - 1), -R * slope[some])
    made = from_stored(hidden[some], head, kept.big[some], factor[some], R, labels, want)
    if made.hidden is not None and last - first < len(hidden):
        whole = hidden.new_zeros(hidden.shape, dtype=torch.float32)
        whole[some] = made.hidden
        made.hidden = whole
    return made, any_far


def _look(factor: Tensor, far: Tensor) -> tuple[int, int, bool]:
    """The rows from .. to that have a gradient, and whether any is far: one wait for the GPU."""
    N = len(factor)
    if not N:
        return 0, 0, False
    busy, at = factor != 0, torch.arange(N, device=factor.device)
    first, past = torch.where(busy, at, N).amin(), torch.where(busy, at + 1, 0).amax()
    start, stop, any_far = torch.stack([first, past, far.any().long()]).tolist()
    return min(start, stop), stop, bool(any_far)


def _by_slices(
    g: Tensor, g_entropy: Tensor | None, g_lse: Tensor | None, kept: Row, hidden: Tensor,
    head: Head, targets: Tensor, want: Wanted, run: Backend,
) -> Grads:  # fmt: skip
    rest = kept.rows[0]
    weight, at_label = -g, g * rest
    if g_lse is not None:
        weight, at_label = weight + g_lse, at_label + g_lse * torch.exp(kept.logp)
    if g_entropy is not None:
        p_y = torch.exp(kept.logp)
        at_label = at_label - g_entropy * p_y * (kept.logp + kept.entropy)
    busy = (weight != 0) | (at_label != 0)
    if g_entropy is not None:
        busy |= g_entropy != 0
    rows = busy.nonzero().squeeze(1)
    # a bad label's logp is NaN and makes its row NaN, as it should
    lse = torch.where(torch.isnan(kept.logp), torch.nan, kept.lse)
    state = RowGradient(lse, weight, at_label, g_entropy, kept.entropy)
    if len(rows) == len(hidden):
        return recompute(hidden, head, targets, state, want, run)
    made = recompute(hidden[rows], head, targets[rows], state.at(rows), want, run)
    if made.hidden is not None:
        whole = hidden.new_zeros(hidden.shape, dtype=torch.float32)
        made.hidden = whole.index_copy(0, rows, made.hidden)
    return made


def _add_far(
    made: Grads, g: Tensor, g_lse: Tensor | None, kept: Row, hidden: Tensor, head: Head,
    targets: Tensor, want: Wanted, run: Backend,
) -> None:  # fmt: skip
    """Adds the rows whose anchor was too far, by `recompute`."""
    rows = kept.far.nonzero().squeeze(1)
    some = Row(kept.logp[rows], kept.entropy[:0], kept.lse[rows], kept.big, kept.rows[:, rows],
               kept.far[rows])  # fmt: skip
    far_lse = None if g_lse is None else g_lse[rows]
    more = _by_slices(g[rows], None, far_lse, some, hidden[rows], head, targets[rows], want, run)
    if made.hidden is not None and more.hidden is not None:
        made.hidden[rows] = more.hidden.to(made.hidden.dtype)
    if made.weight is not None and more.weight is not None:
        made.weight += more.weight
    if made.bias is not None and more.bias is not None:
        made.bias += more.bias


def _typed(made: Grads, hidden: Tensor, head: Head) -> tuple[Tensor, Tensor, Tensor]:
    def typed(gradient: Tensor | None, like: Tensor | None) -> Tensor:
        if gradient is None or like is None:
            return hidden.new_empty(0)
        return gradient.to(like.dtype)

    return (
        typed(made.hidden, hidden),
        typed(made.weight, head.weight_VH),
        typed(made.bias, head.bias_V),
    )
