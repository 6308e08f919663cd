"""The head's ops in plain torch: the same steps as the kernels, and what runs on a CPU.

Shapes: N rows, H hidden, V vocabulary, C columns of a slice.
"""

from __future__ import annotations

import torch

from lmmixup_kernels.head import Head
from lmmixup_kernels.products import product
from lmmixup_kernels.statistics import FAR, SCORE_SPAN, RowGradient, Sums

ROWS = 128
"""Rows of one product, the last ones padded: a row's bits then do not depend on N."""


def logits(hidden_NH: torch.Tensor, head: Head, start: int, stop: int) -> torch.Tensor:
    """Logits of the columns `start` to `stop`, (N, C) float32, summed and kept in fp32."""
    weight_CH = head.weight_VH[start:stop]
    if not hidden_NH.is_cuda:
        weight_CH = weight_CH.float()
    z_NC = hidden_NH.new_empty((len(hidden_NH), stop - start), dtype=torch.float32)
    for row in range(0, len(hidden_NH), ROWS):
        block = hidden_NH[row : row + ROWS]
        padded = block
        if len(block) < ROWS:
            padded = block.new_zeros((ROWS, block.shape[1]))
            padded[: len(block)] = block
        z_NC[row : row + ROWS] = product(padded, weight_CH.t())[: len(block)]
    if head.bias_V is not None:
        z_NC += head.bias_V[start:stop].float()
    return head.transform(z_NC)


def score(
    hidden_NH: torch.Tensor,
    head: Head,
    target_N: torch.Tensor,
    *,
    need_entropy: bool,
    only: torch.Tensor | None = None,
) -> Sums:
    """Sums of each row around its maximum, span after span.

    Args:
        hidden_NH: Hidden states.
        head: The head, or a rank's part of it.
        target_N: Column of the label; outside 0..V - 1 it is not in this part.
        need_entropy: Whether `xs` is wanted.
        only: (N,) bool: rows that matter; the others may have anything.

    Returns:
        The sums; zy is 0 for a label that is not in this part.
    """
    if only is not None:
        return _score_some(hidden_NH, head, target_N, need_entropy=need_entropy, only=only)
    N = len(hidden_NH)
    m, s, xs, zy = (hidden_NH.new_full((N,), v, dtype=torch.float32) for v in (FAR, 0.0, 0.0, 0.0))
    for start in range(0, head.size, SCORE_SPAN):
        stop = min(start + SCORE_SPAN, head.size)
        z_NC = logits(hidden_NH, head, start, stop)
        local = target_N - start
        inside = (local >= 0) & (local < stop - start)
        at = local.clamp(0, stop - start - 1).unsqueeze(1)
        zy = torch.where(inside, z_NC.gather(1, at).squeeze(1), zy)
        new_m = torch.maximum(m, z_NC.amax(1))
        z_NC -= new_m.unsqueeze(1)
        e_NC = torch.exp(z_NC)
        e_NC.scatter_(1, at, torch.where(inside.unsqueeze(1), 0.0, e_NC.gather(1, at)))
        shift = torch.exp(m - new_m)
        if need_entropy:
            xs = shift * (xs + s * (m - new_m)) + (e_NC * z_NC).sum(1)
        s = s * shift + e_NC.sum(1)
        m = new_m
    return Sums(m, s, xs, zy)


def _score_some(
    hidden_NH: torch.Tensor,
    head: Head,
    target_N: torch.Tensor,
    *,
    need_entropy: bool,
    only: torch.Tensor,
) -> Sums:
    rows = only.nonzero().squeeze(1)
    some = score(hidden_NH[rows], head, target_N[rows], need_entropy=need_entropy)
    full = [hidden_NH.new_zeros(len(only), dtype=torch.float32) for _ in range(4)]
    for into, part in zip(full, (some.m, some.s, some.xs, some.zy), strict=True):
        into[rows] = part
    return Sums(*full)


def target_logits(hidden_NH: torch.Tensor, head: Head, target_N: torch.Tensor) -> torch.Tensor:
    """The label's logit of each row, (N,) float32; NaN where the label is out of range."""
    inside = (target_N >= 0) & (target_N < head.size)
    at = target_N.clamp(0, max(head.size - 1, 0))
    u_N = torch.empty(len(hidden_NH), dtype=torch.float32, device=hidden_NH.device)
    for row in range(0, len(hidden_NH), ROWS):
        rows = slice(row, row + ROWS)
        u_N[rows] = (hidden_NH[rows].float() * head.weight_VH[at[rows]].float()).sum(1)
    if head.bias_V is not None:
        u_N += head.bias_V[at].float()
    return torch.where(inside, head.transform(u_N), torch.nan)


def exponentials(
    hidden_NH: torch.Tensor,
    head: Head,
    target_N: torch.Tensor,
    centre_N: torch.Tensor,
    start: int,
    out_NC: torch.Tensor,
    *,
    need_entropy: bool,
    total_2N: torch.Tensor,
) -> None:
    """Writes exp(z - c) times the cap's slope for a slice, 0 at the label, and adds up.

    Args:
        hidden_NH: Hidden states.
        head: The head.
        target_N: Column of the label.
        centre_N: c.
        start: First column of the slice.
        out_NC: (N, C), filled.
        need_entropy: Whether total_2N[1] is wanted.
        total_2N: (2, N) float32: the sums of e and of e (z - c) over v != y are added to it.
    """
    stop = start + out_NC.shape[1]
    z_NC = logits(hidden_NH, head, start, stop)
    slope = head.slope(z_NC)
    z_NC -= centre_N.unsqueeze(1)
    e_NC = torch.exp(z_NC)
    local = target_N - start
    inside = (local >= 0) & (local < stop - start)
    at = local.clamp(0, stop - start - 1).unsqueeze(1)
    e_NC.scatter_(1, at, torch.where(inside.unsqueeze(1), 0.0, e_NC.gather(1, at)))
    total_2N[0] += e_NC.sum(1)
    if need_entropy:
        total_2N[1] += (e_NC * z_NC).sum(1)
    out_NC.copy_(e_NC if slope is None else e_NC.mul_(slope))


def clear_rows(out_NC: torch.Tensor, rows_N: torch.Tensor) -> None:
    """Sets the rows where `rows_N` is true to 0, whatever was in them."""
    out_NC.masked_fill_(rows_N.unsqueeze(1), 0)


def gradients(
    hidden_NH: torch.Tensor,
    head: Head,
    target_N: torch.Tensor,
    rows: RowGradient,
    start: int,
    out_NC: torch.Tensor,
) -> None:
    """Writes dloss/du for a slice.

    Args:
        hidden_NH: Hidden states.
        head: The head.
        target_N: Column of the label.
        rows: How it follows from p.
        start: First column of the slice.
        out_NC: (N, C), filled.
    """
    lse, weight, at_label, of_entropy, entropy = rows
    stop = start + out_NC.shape[1]
    z_NC = logits(hidden_NH, head, start, stop)
    slope = head.slope(z_NC)
    z_NC -= lse.unsqueeze(1)
    g_NC = torch.exp(z_NC)
    if of_entropy is None:
        g_NC *= weight.unsqueeze(1)
    else:
        g_NC *= weight.unsqueeze(1) - of_entropy.unsqueeze(1) * (z_NC + entropy.unsqueeze(1))
    local = target_N - start
    inside = (local >= 0) & (local < stop - start)
    at = local.clamp(0, stop - start - 1).unsqueeze(1)
    label = torch.where(inside.unsqueeze(1), at_label.unsqueeze(1), g_NC.gather(1, at))
    g_NC.scatter_(1, at, label)
    if slope is not None:
        g_NC *= slope
    out_NC.copy_(g_NC.mul_(head.factor))
