"""The head's ops in Triton: the functions of `eager`, launched as kernels.

Shapes: N rows, H hidden, V vocabulary, C columns of a slice.
"""

from __future__ import annotations

from typing import Any

import torch
import triton

from lmmixup_kernels.backend import on_its_device
from lmmixup_kernels.exp_kernel import add_kernel, clear_kernel, exp_kernel
from lmmixup_kernels.gradient_kernel import gradient_kernel
from lmmixup_kernels.head import Head
from lmmixup_kernels.score_kernel import join_kernel, score_kernel
from lmmixup_kernels.statistics import SCORE_SPAN, RowGradient, Sums
from lmmixup_kernels.target_kernel import target_kernel
from lmmixup_kernels.tiles import Tile, tile

ROWS = 128
"""Rows of a program that only joins sums."""

FUSION = {"enable_fp_fusion": True}
"""Multiply-add as one instruction: set here, since the compiler's default changes."""


def _options(hidden_NH: torch.Tensor, head: Head, tiles: Tile) -> dict[str, Any]:
    """What all kernels with a tile of logits are given alike."""
    return {
        "HAS_BIAS": head.bias_V is not None,
        "HAS_CAP": head.softcap > 0,
        "EVEN_H": hidden_NH.shape[1] % tiles.depth == 0,
        "FULL": hidden_NH.dtype == torch.float32,
        "R": tiles.rows,
        "C": tiles.columns,
        "D": tiles.depth,
        "num_warps": tiles.num_warps,
        "num_stages": tiles.num_stages,
        **FUSION,
    }


def _scalars(head: Head) -> tuple[float, float, float]:
    return head.logit_scale, head.softcap, 1 / head.temperature


@on_its_device
def score(
    hidden_NH: torch.Tensor,
    head: Head,
    target_N: torch.Tensor,
    *,
    need_entropy: bool,
    only: torch.Tensor | None = None,
) -> Sums:
    """As `eager.score`."""
    N, H = hidden_NH.shape
    tiles = tile("score", hidden_NH.dtype, hidden_NH.device)
    spans = triton.cdiv(head.size, SCORE_SPAN)
    made = hidden_NH.new_zeros((4, N), dtype=torch.float32)
    if not N:
        return Sums(*made)
    part = hidden_NH.new_zeros((4, spans, N), dtype=torch.float32)
    if spans:
        score_kernel[(triton.cdiv(N, tiles.rows) * spans,)](
            hidden_NH, head.weight_VH, head.bias_V, target_N, only, part,
            N, head.size, H, hidden_NH.stride(0), head.weight_VH.stride(0), *_scalars(head),
            ENTROPY=need_entropy, ONLY=only is not None, SPAN=SCORE_SPAN,
            **_options(hidden_NH, head, tiles),
        )  # fmt: skip
    join_kernel[(triton.cdiv(N, ROWS),)](part, made, N, spans, R=ROWS, **FUSION)
    return Sums(*made)


@on_its_device
def target_logits(hidden_NH: torch.Tensor, head: Head, target_N: torch.Tensor) -> torch.Tensor:
    """As `eager.target_logits`."""
    N, H = hidden_NH.shape
    u_N = hidden_NH.new_empty(N, dtype=torch.float32)
    if N:
        target_kernel[(N,)](
            hidden_NH, head.weight_VH, head.bias_V, target_N, u_N, head.size, H,
            hidden_NH.stride(0), head.weight_VH.stride(0),
            HAS_BIAS=head.bias_V is not None, D=min(1024, triton.next_power_of_2(H)), **FUSION,
        )  # fmt: skip
    return head.transform(u_N)


@on_its_device
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
    """As `eager.exponentials`."""
    N, H = hidden_NH.shape
    stop = start + out_NC.shape[1]
    size = tile("exponentials", hidden_NH.dtype, hidden_NH.device)
    tiles = triton.cdiv(stop - start, size.columns)
    part = total_2N.new_empty((2, tiles, N))
    exp_kernel[(triton.cdiv(N, size.rows) * tiles,)](
        hidden_NH, head.weight_VH, head.bias_V, target_N, centre_N, out_NC, part,
        N, H, start, stop, hidden_NH.stride(0), head.weight_VH.stride(0), out_NC.stride(0),
        *_scalars(head), ENTROPY=need_entropy, **_options(hidden_NH, head, size),
    )  # fmt: skip
    add_kernel[(triton.cdiv(N, ROWS),)](
        part, total_2N, N, tiles, ENTROPY=need_entropy, R=ROWS, **FUSION
    )


@on_its_device
def clear_rows(out_NC: torch.Tensor, rows_N: torch.Tensor) -> None:
    """As `eager.clear_rows`, without a look at the rows that stay."""
    N, width = out_NC.shape
    if N and width:
        clear_kernel[(N,)](out_NC, rows_N, width, out_NC.stride(0), C=1024, **FUSION)


@on_its_device
def gradients(
    hidden_NH: torch.Tensor,
    head: Head,
    target_N: torch.Tensor,
    rows: RowGradient,
    start: int,
    out_NC: torch.Tensor,
) -> None:
    """As `eager.gradients`."""
    lse, weight, at_label, of_entropy, entropy = rows
    N, H = hidden_NH.shape
    stop = start + out_NC.shape[1]
    tiles = tile("gradients", hidden_NH.dtype, hidden_NH.device)
    gradient_kernel[(triton.cdiv(N, tiles.rows) * triton.cdiv(stop - start, tiles.columns),)](
        hidden_NH, head.weight_VH, head.bias_V, target_N, lse, weight, at_label, of_entropy,
        entropy, out_NC, N, H, start, stop, hidden_NH.stride(0), head.weight_VH.stride(0),
        out_NC.stride(0), *_scalars(head),
        ENTROPY=of_entropy is not None, **_options(hidden_NH, head, tiles),
    )  # fmt: skip
