"""Anchored exponentials: stored once, summed on the way."""

import triton
import triton.language as tl

from lmmixup_kernels.tile_kernel import piece_columns, pieces, product_tile, to_logits


@triton.jit
def write(
    u, column, start, stop, target, centre, s, xs, out_ptr, first_row, num_rows, stride_out,
    b_ptr, logit_scale, softcap, inverse_t,
    HAS_BIAS: tl.constexpr, HAS_CAP: tl.constexpr, ENTROPY: tl.constexpr, R: tl.constexpr,
):  # fmt: skip
    """Writes the exponentials of some columns, `column` places after `start`, and sums them."""
    columns = start + column
    z = to_logits(u, b_ptr, columns, stop, logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP)
    outside = (columns[None, :] == target[:, None]) | (columns >= stop)[None, :]
    ahead = z - centre[:, None]
    e = tl.where(outside, 0.0, tl.exp(ahead))
    s += tl.sum(e, 1)
    if ENTROPY:
        xs += tl.sum(e * tl.where(outside, 0.0, ahead), 1)
    if HAS_CAP:
        t = z / (softcap * inverse_t)
        e *= 1 - t * t
    row = tl.arange(0, R)
    ok = (row < num_rows - first_row)[:, None] & (columns < stop)[None, :]
    at = row[:, None] * tl.cast(stride_out, tl.int32) + column[None, :]
    tl.store(out_ptr + at, e.to(out_ptr.dtype.element_ty), mask=ok)
    return s, xs


@triton.jit(do_not_specialize=["N", "start"])
def exp_kernel(
    x_ptr, w_ptr, b_ptr, target_ptr, centre_ptr, out_ptr, part_ptr,
    N, H, start, stop, stride_x, stride_w, stride_out, logit_scale, softcap, inverse_t,
    HAS_BIAS: tl.constexpr, HAS_CAP: tl.constexpr, EVEN_H: tl.constexpr, FULL: tl.constexpr,
    ENTROPY: tl.constexpr, R: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Writes exp(z - c) times the cap's slope, 0 at the label, to out (N, stop - start).

    Sums of each row and tile go to part (2, tiles, N). Grid: blocks of rows fastest, then tiles.
    """
    num_blocks = tl.cdiv(N, R)
    first_row = (tl.program_id(0) % num_blocks) * R
    tile = tl.program_id(0) // num_blocks
    first = start + tile * C
    u = product_tile(
        x_ptr, w_ptr, first_row, N, first, stop, H, stride_x, stride_w, EVEN_H, FULL, R, C, D
    )
    rows = first_row + tl.arange(0, R)
    row_ok = rows < N
    target = tl.load(target_ptr + rows, mask=row_ok, other=-1).to(tl.int32)
    centre = tl.load(centre_ptr + rows, mask=row_ok, other=0.0)
    s = tl.zeros((R,), tl.float32)
    xs = tl.zeros((R,), tl.float32)
    out_ptr += tl.cast(first_row, tl.int64) * stride_out + (first - start)
    a, b, c, d = pieces(u, R, C)
    one, two = piece_columns(C)
    s, xs = write(
        a, one, first, stop, target, centre, s, xs, out_ptr, first_row, N, stride_out,
        b_ptr, logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP, ENTROPY, R,
    )  # fmt: skip
    s, xs = write(
        b, two, first, stop, target, centre, s, xs, out_ptr, first_row, N, stride_out,
        b_ptr, logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP, ENTROPY, R,
    )  # fmt: skip
    s, xs = write(
        c, one + C // 4, first, stop, target, centre, s, xs, out_ptr, first_row, N, stride_out,
        b_ptr, logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP, ENTROPY, R,
    )  # fmt: skip
    s, xs = write(
        d, two + C // 4, first, stop, target, centre, s, xs, out_ptr, first_row, N, stride_out,
        b_ptr, logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP, ENTROPY, R,
    )  # fmt: skip
    base = part_ptr + tl.cast(tile, tl.int64) * N + rows
    tl.store(base, s, mask=row_ok)
    if ENTROPY:
        tl.store(base + tl.cast(tl.cdiv(stop - start, C), tl.int64) * N, xs, mask=row_ok)


@triton.jit(do_not_specialize=["N", "tiles"])
def add_kernel(part_ptr, total_ptr, N, tiles, ENTROPY: tl.constexpr, R: tl.constexpr):
    """Adds part (2, tiles, N) to total (2, N) in the order of the tiles."""
    rows = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    row_ok = rows < N
    s = tl.load(total_ptr + rows, mask=row_ok, other=0.0)
    xs = tl.load(total_ptr + N + rows, mask=row_ok, other=0.0)
    step = tl.cast(tiles, tl.int64) * N
    base = part_ptr + rows
    for _ in range(tiles):
        s += tl.load(base, mask=row_ok, other=0.0)
        if ENTROPY:
            xs += tl.load(base + step, mask=row_ok, other=0.0)
        base += N
    tl.store(total_ptr + rows, s, mask=row_ok)
    tl.store(total_ptr + N + rows, xs, mask=row_ok)


@triton.jit
def clear_kernel(out_ptr, rows_ptr, width, stride, C: tl.constexpr):
    """Sets the rows that are flagged to 0; the others return at once."""
    row = tl.program_id(0).to(tl.int64)
    if tl.load(rows_ptr + row) != 0:
        for start in range(0, width, C):
            at = start + tl.arange(0, C)
            zero = tl.zeros((C,), out_ptr.dtype.element_ty)
            tl.store(out_ptr + row * stride + at, zero, mask=at < width)
