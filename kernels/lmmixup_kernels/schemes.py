"""The four ways through the head, forward and backward, over either backend.

Shapes: N rows, H hidden, V vocabulary, C columns of a slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Literal, NamedTuple

import torch

from lmmixup_kernels import eager
from lmmixup_kernels.backend import Backend
from lmmixup_kernels.head import Head
from lmmixup_kernels.products import add_product, product
from lmmixup_kernels.statistics import RowGradient, Statistics, either, from_anchor, from_sums

Scheme = Literal["score", "frozen", "stored", "recompute"]

FLOPS_NHV = {"score": 2, "frozen": 4, "stored": 6, "recompute": 8}
"""FLOPs of forward and backward together, in units of N H V."""

BUDGET = 4 << 30
"""Bytes that stored exponentials may take by default."""

ANCHOR = -10.0
"""Guess of logp where none is given; right for every row whose logp is between -70 and 0."""

ROWS, COLUMNS = 8192, 4096
"""Rows and columns of a slice: 64 MiB in bf16. Sums are added slice after slice, so that the
columns are a part of what a row's bits depend on."""


BLOCK = 1024
"""Rows of hidden states that are in fp32 at a time."""

TURNED = 128 << 20
"""Bytes of a slice of exponentials as the product for dW takes them."""


def choose_scheme(
    num_rows: int,
    vocab_size: int,
    *,
    needs_hidden: bool,
    needs_head: bool,
    dtype: torch.dtype,
    memory_budget: int | None,
) -> Scheme:
    """Chooses by what needs a gradient and what fits.

    Args:
        num_rows: N.
        vocab_size: V.
        needs_hidden: Whether the hidden states need a gradient.
        needs_head: Whether weight or bias do.
        dtype: Of the inputs; fp16 is always recomputed.
        memory_budget: Bytes for stored exponentials; `None` is `BUDGET`.
    """
    if not needs_hidden and not needs_head:
        return "score"
    if dtype == torch.float16:
        return "recompute"
    if not needs_head:
        return "frozen"
    wanted = num_rows * vocab_size * exp_dtype(dtype).itemsize
    return (
        "stored" if wanted <= (BUDGET if memory_budget is None else memory_budget) else "recompute"
    )


def exp_dtype(dtype: torch.dtype) -> torch.dtype:
    """Type of exponentials and logits' gradients: bf16 for bf16, fp32 for all else."""
    return torch.bfloat16 if dtype == torch.bfloat16 else torch.float32


def implementation(backend: Backend) -> ModuleType:
    """The module with the ops."""
    if backend == "eager":
        return eager
    from lmmixup_kernels import launch

    return launch


@dataclass(frozen=True)
class Kept:
    """What the backward of an anchored scheme needs.

    Attributes:
        big: E (N, V) of `stored`, the sum of E_v W_v over v != y (N, H) of `frozen`, else empty.
        inverse: 1 / S, (N,).
        slope: The cap's slope at the label, (N,); 1 without a cap.
        far: Rows whose anchor was too far, (N,) bool; they are in none of the above.
    """

    big: torch.Tensor
    inverse: torch.Tensor
    slope: torch.Tensor
    far: torch.Tensor


def score(
    hidden_NH: torch.Tensor,
    head: Head,
    target_N: torch.Tensor,
    backend: Backend,
    *,
    need_entropy: bool,
    only: torch.Tensor | None = None,
) -> Statistics:
    """Statistics by the online maximum: 2NHV."""
    ops = implementation(backend)
    sums = ops.score(hidden_NH, head, target_N, need_entropy=need_entropy, only=only)
    # the label's logit by itself, as the anchored schemes have it: tensor cores cut off what they
    # add to a long sum, and here, unlike among all others, one logit's error is the result's
    zy = ops.target_logits(hidden_NH, head, target_N)
    return from_sums(sums._replace(zy=zy), need_entropy=need_entropy)


def anchored(
    hidden_NH: torch.Tensor,
    head: Head,
    target_N: torch.Tensor,
    anchor_N: torch.Tensor,
    scheme: Scheme,
    backend: Backend,
    *,
    need_entropy: bool,
) -> tuple[Statistics, Kept]:
    """Statistics by anchored exponentials, and what the backward needs: 2NHV, or 4NHV frozen."""
    ops = implementation(backend)
    N, V = len(hidden_NH), head.size
    dtype = exp_dtype(hidden_NH.dtype)
    zy = ops.target_logits(hidden_NH, head, target_N)
    # where the guess is missing or absurd, the row is scored by its maximum below
    anchor_N = torch.nan_to_num(anchor_N.float(), nan=ANCHOR).clamp(-80.0, 80.0)
    centre_N = zy - anchor_N
    total_2N = hidden_NH.new_zeros((2, N), dtype=torch.float32)
    stored = scheme == "stored"
    big = (
        hidden_NH.new_empty((N, V), dtype=dtype)
        if stored
        else hidden_NH.new_zeros(hidden_NH.shape, dtype=torch.float32)
    )
    for row in range(0, N, ROWS):
        rows = slice(row, row + ROWS)
        x = hidden_NH[rows]
        total = torch.zeros_like(total_2N[:, rows])
        buffer = None if stored else x.new_empty((len(x), min(COLUMNS, V)), dtype=dtype)
        for start in range(0, V, COLUMNS):
            stop = min(start + COLUMNS, V)
            E = big[rows, start:stop] if buffer is None else buffer[:, : stop - start]
            ops.exponentials(
                x, head, target_N[rows], centre_N[rows], start, E,
                need_entropy=need_entropy, total_2N=total,
            )  # fmt: skip
            if not stored:
                add_product(big[rows], E, head.weight_VH[start:stop])
        total_2N[:, rows] = total
    R, xs = total_2N
    here, inverse, far = from_anchor(R, xs, zy, anchor_N, need_entropy=need_entropy)
    there = score(hidden_NH, head, target_N, backend, need_entropy=need_entropy, only=far)
    slope = head.slope(zy)
    kept = Kept(big, inverse, torch.ones_like(zy) if slope is None else slope, far)
    ops.clear_rows(big, far)
    if stored and V:
        # the label's own entry, so that the rows of E sum to the gradient's: (p_y - 1) S = -R
        entry = torch.where(far, 0, -R * kept.slope).to(dtype)
        big[torch.arange(N, device=big.device), target_N.clamp(0, V - 1)] = entry
    return either(far, there, here), kept


@dataclass(frozen=True)
class Wanted:
    """Which gradients a backward has to make."""

    hidden: bool
    weight: bool
    bias: bool


@dataclass
class Grads:
    """Gradients of hidden (N, H), weight (V, H) and bias (V,), in fp32 where they are sums."""

    hidden: torch.Tensor | None
    weight: torch.Tensor | None
    bias: torch.Tensor | None


def recompute(
    hidden_NH: torch.Tensor,
    head: Head,
    target_N: torch.Tensor,
    rows: RowGradient,
    wanted: Wanted,
    backend: Backend,
) -> Grads:
    """Gradients by slices of the logits' gradient: 2NHV, and 2NHV for each of dX and dW.

    Args:
        hidden_NH: Hidden states.
        head: The head.
        target_N: Labels.
        rows: How it follows from p.
        wanted: What to make.
        backend: What runs the slices.
    """
    ops = implementation(backend)
    N, V = len(hidden_NH), head.size
    dX = torch.zeros_like(hidden_NH, dtype=torch.float32) if wanted.hidden else None
    dW = torch.zeros_like(head.weight_VH) if wanted.weight else None
    db = hidden_NH.new_zeros(V, dtype=torch.float32) if wanted.bias else None
    buffer = hidden_NH.new_empty((min(ROWS, N), min(COLUMNS, V)), dtype=exp_dtype(hidden_NH.dtype))
    for start in range(0, V, COLUMNS):
        columns = slice(start, min(start + COLUMNS, V))
        dW_C = None
        for row in range(0, N, ROWS):
            at = slice(row, row + ROWS)
            x = hidden_NH[at]
            G = buffer[: len(x), : columns.stop - start]
            ops.gradients(x, head, target_N[at], rows.at(at), start, G)
            if dX is not None:
                add_product(dX[at], G, head.weight_VH[columns])
            if dW is not None and dW_C is None:
                dW_C = product(G.t(), x)
            elif dW_C is not None:
                add_product(dW_C, G.t(), x)
            if db is not None:
                db[columns] += G.sum(0, dtype=torch.float32)
        if dW is not None and dW_C is not None:
            dW[columns] = dW_C.to(dW.dtype)
    return Grads(dX, dW, db)


class Labels(NamedTuple):
    """The label of each row in stored exponentials.

    Attributes:
        column: (N,), within the vocabulary.
        entry: (N,) -R times the cap's slope: what is stored there, before it was rounded. It is
            the greatest entry of a row: rounding it would cost more than all others do.
    """

    column: torch.Tensor
    entry: torch.Tensor


def from_stored(
    hidden_NH: torch.Tensor,
    head: Head,
    E_NV: torch.Tensor,
    factor_N: torch.Tensor,
    R_N: torch.Tensor,
    labels: Labels,
    wanted: Wanted,
) -> Grads:
    """Gradients as products with the stored exponentials: 2NHV for each of dX and dW.

    Args:
        hidden_NH: Hidden states.
        head: The head.
        E_NV: Exponentials with the labels' entries, rounded to its type.
        factor_N: What each row's entries are multiplied with to be dloss/du.
        R_N: R: no entry of a row is greater.
        labels: The labels.
        wanted: What to make.
    """
    V, low = head.size, E_NV.dtype == torch.bfloat16
    dX = torch.zeros_like(hidden_NH, dtype=torch.float32) if wanted.hidden else None
    dW = torch.empty_like(head.weight_VH) if wanted.weight else None
    db = hidden_NH.new_empty(V, dtype=torch.float32) if wanted.bias else None
    if dX is not None:
        step = V if E_NV.is_cuda and low else COLUMNS  # elsewhere both sides are cast
        for start in range(0, V, step):
            columns = slice(start, start + step)
            add_product(dX, E_NV[:, columns], head.weight_VH[columns])
        if low:
            _add_rest_of_labels(dX, head, E_NV, labels)
        dX *= factor_N.unsqueeze(1)
    if dW is not None or db is not None:
        turned = _Turned(hidden_NH, E_NV, factor_N, R_N, labels)
        for start in range(0, V, turned.width):
            columns = slice(start, min(start + turned.width, V))
            E_NC = turned.exponentials(columns)
            if dW is not None:
                dW[columns] = (product(E_NC.t(), turned.hidden_NH) * turned.scale).to(dW.dtype)
            if db is not None:
                db[columns] = (turned.factor_N1 * E_NC).sum(0) * turned.scale
    return Grads(dX, dW, db)


def _add_rest_of_labels(dX: torch.Tensor, head: Head, E_NV: torch.Tensor, labels: Labels) -> None:
    """What rounding took from the labels' entries."""
    column, entry = labels
    rest = entry - E_NV.gather(1, column.unsqueeze(1)).squeeze(1).float()
    for row in range(0, len(dX), BLOCK):
        rows = slice(row, row + BLOCK)
        dX[rows].addcmul_(rest[rows].unsqueeze(1), head.weight_VH[column[rows]].float())


class _Turned:
    """Exponentials and hidden states as the product over rows takes them.

    In bf16 both would be rounded a second time, which costs dW a third more error. So for bf16 it
    is a product in fp16, whose three bits more make the second rounding vanish: a power of two a
    row puts the greatest exponential, and one power of two the greatest hidden state, into its
    range. Rows lose nothing by it, as bf16's bits fit into fp16's.

    Args:
        hidden_NH: Hidden states.
        E_NV: Exponentials.
        factor_N: As `from_stored` has it.
        R_N: As `from_stored` has it.
        labels: As `from_stored` has them.
    """

    def __init__(
        self, hidden_NH: torch.Tensor, E_NV: torch.Tensor, factor_N: torch.Tensor,
        R_N: torch.Tensor, labels: Labels,
    ) -> None:  # fmt: skip
        self.width, self._E_NV, self._by_row_N1 = COLUMNS, E_NV, None
        self.factor_N1, self.scale = factor_N.unsqueeze(1), 1.0
        if E_NV.dtype != torch.bfloat16 or not len(E_NV):
            self.hidden_NH = hidden_NH.float() * self.factor_N1
            return
        exponent_N = torch.frexp(R_N).exponent.clamp(min=-100)  # below, nothing is left of the row
        by_row_N = torch.ldexp(torch.ones_like(R_N), 15 - exponent_N)
        self._by_row_N1 = by_row_N.unsqueeze(1)
        self._column_N1 = labels.column.unsqueeze(1)
        self._entry_N1 = (labels.entry * by_row_N).half().unsqueeze(1)
        factor_N = torch.ldexp(factor_N, exponent_N)
        # the product of the maxima is at least the maximum of the products
        most = torch.frexp(hidden_NH.abs().amax(1).float().mul_(factor_N.abs()).amax()).exponent
        most = most.clamp(min=-100)
        self.factor_N1 = torch.ldexp(factor_N, 14 - most).unsqueeze(1)
        self.scale = torch.ldexp(torch.ones_like(R_N[0]), most - 29)
        self.hidden_NH = torch.empty_like(hidden_NH, dtype=torch.float16)
        torch.mul(hidden_NH, self.factor_N1, out=self.hidden_NH)
        self.width = min(COLUMNS, max(TURNED // (2 * len(E_NV)) // 128 * 128, 128))
        self._buffer = E_NV.new_empty((len(E_NV), self.width), dtype=torch.float16)

    def exponentials(self, columns: slice) -> torch.Tensor:
        """Some columns, (N, at most `width`), to be multiplied with `hidden_NH` and `scale`."""
        E_NC = self._E_NV[:, columns]
        if self._by_row_N1 is None:
            return E_NC
        made_NC = torch.mul(E_NC, self._by_row_N1, out=self._buffer[:, : E_NC.shape[1]])
        at = (self._column_N1 - columns.start).clamp(0, E_NC.shape[1] - 1)
        inside = self._column_N1 == at + columns.start
        return made_NC.scatter_(1, at, torch.where(inside, self._entry_N1, made_NC.gather(1, at)))
