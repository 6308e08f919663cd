"""Anchored exponentials: stored once, summed on the way."""

import triton
import triton.language as tl

from lmmixup_kernels.tile_kernel import logit_tile


@triton.jit(do_not_specialize=["N", "start"])
def exp_kernel(
    x_ptr, w_ptr, b_ptr, target_ptr, centre_ptr, out_ptr, part_ptr,
    N, V, H, start, stop, stride_x, stride_w, stride_out, logit_scale, softcap, inverse_t,
    HAS_BIAS: tl.constexpr, HAS_CAP: tl.constexpr, EVEN_H: tl.constexpr, FULL: tl.constexpr,
    ENTROPY: tl.constexpr, SPAN: tl.constexpr, R: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Writes exp(z - c) times the cap's slope, 0 at the label, to out (N, stop - start).

    Sums of each row and span go to part (2, spans of V, N). Grid: blocks of rows fastest, then
    the spans of the slice; `start` is a multiple of SPAN.
    """
    num_blocks = tl.cdiv(N, R)
    rows = (tl.program_id(0) % num_blocks).to(tl.int64) * R + tl.arange(0, R)
    row_ok = rows < N
    target = tl.load(target_ptr + rows, mask=row_ok, other=-1)
    centre = tl.load(centre_ptr + rows, mask=row_ok, other=0.0)
    s = tl.zeros((R,), tl.float32)
    xs = tl.zeros((R,), tl.float32)
    first = start + (tl.program_id(0) // num_blocks).to(tl.int64) * SPAN
    for at in range(first, tl.minimum(first + SPAN, stop), C):
        columns = at + tl.arange(0, C).to(tl.int64)
        inside = columns < stop
        z = logit_tile(
            x_ptr, w_ptr, b_ptr, rows, row_ok, columns, inside, H, stride_x, stride_w,
            logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP, EVEN_H, FULL, R, C, D,
        )  # fmt: skip
        ahead = z - centre[:, None]
        outside = (columns[None, :] == target[:, None]) | ~inside[None, :]
        e = tl.where(outside, 0.0, tl.exp(ahead))
        s += tl.sum(e, 1)
        if ENTROPY:
            xs += tl.sum(tl.where(outside, 0.0, e * ahead), 1)
        if HAS_CAP:
            t = z / (softcap * inverse_t)
            e *= 1 - t * t
        ptrs = out_ptr + rows[:, None] * stride_out + (columns - start)[None, :]
        tl.store(ptrs, e.to(out_ptr.dtype.element_ty), mask=row_ok[:, None] & inside[None, :])
    base = part_ptr + (first // SPAN) * N + rows
    tl.store(base, s, mask=row_ok)
    if ENTROPY:
        tl.store(base + tl.cast(tl.cdiv(V, SPAN), tl.int64) * N, xs, mask=row_ok)


@triton.jit(do_not_specialize=["N", "spans"])
def sum_kernel(part_ptr, out_ptr, N, spans, R: tl.constexpr):
    """Adds part (2, spans, N) to out (2, N) in the order of the spans."""
    rows = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    row_ok = rows < N
    s = tl.zeros((R,), tl.float32)
    xs = tl.zeros((R,), tl.float32)
    step = tl.cast(spans, tl.int64) * N
    base = part_ptr + rows
    for _ in range(spans):
        s += tl.load(base, mask=row_ok, other=0.0)
        xs += tl.load(base + step, mask=row_ok, other=0.0)
        base += N
    tl.store(out_ptr + rows, s, mask=row_ok)
    tl.store(out_ptr + N + rows, xs, mask=row_ok)


@triton.jit
def clear_kernel(out_ptr, rows_ptr, width, stride, C: tl.constexpr):
    """Sets the rows that are flagged to 0; the others return at once."""
    row = tl.program_id(0).to(tl.int64)
    if tl.load(rows_ptr + row) != 0:
        for start in range(0, width, C):
            at = start + tl.arange(0, C)
            zero = tl.zeros((C,), out_ptr.dtype.element_ty)
            tl.store(out_ptr + row * stride + at, zero, mask=at < width)
