"""Sums around the running maximum, a block of rows and a span of columns to a program."""

import triton
import triton.language as tl

from lmmixup_kernels.tile_kernel import piece_columns, pieces, product_tile, to_logits

FAR = tl.constexpr(-1.0e30)


@triton.jit
def fold(
    u, columns, target, m, s, xs, zy, b_ptr, V, logit_scale, softcap, inverse_t,
    HAS_BIAS: tl.constexpr, HAS_CAP: tl.constexpr, ENTROPY: tl.constexpr,
):  # fmt: skip
    """Adds the products of some columns to the running sums of their rows.

    Columns beyond V add nothing, also where there are no others.
    """
    z = to_logits(u, b_ptr, columns, V, logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP)
    at_target = columns[None, :] == target[:, None]
    zy += tl.sum(tl.where(at_target, z, 0.0), 1)
    inside = (columns < V)[None, :]
    new_m = tl.maximum(m, tl.max(tl.where(inside, z, -float("inf")), 1))
    ahead = z - new_m[:, None]
    e = tl.where(at_target | ~inside, 0.0, tl.exp(ahead))
    shift = tl.exp(m - new_m)
    if ENTROPY:
        xs = shift * (xs + s * (m - new_m)) + tl.sum(e * tl.where(inside, ahead, 0.0), 1)
    s = s * shift + tl.sum(e, 1)
    return new_m, s, xs, zy


@triton.jit(do_not_specialize=["N"])
def score_kernel(
    x_ptr, w_ptr, b_ptr, target_ptr, only_ptr, part_ptr,
    N, V, H, stride_x, stride_w, logit_scale, softcap, inverse_t,
    HAS_BIAS: tl.constexpr, HAS_CAP: tl.constexpr, EVEN_H: tl.constexpr, FULL: tl.constexpr,
    ENTROPY: tl.constexpr, ONLY: tl.constexpr, SPAN: tl.constexpr,
    R: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Writes m, s, xs, zy of each row and span to part (4, spans, N).

    Grid: blocks of rows fastest, then spans, so that a span's weights stay in the cache.
    """
    num_blocks = tl.cdiv(N, R)
    span = tl.program_id(0) // num_blocks
    first_row = (tl.program_id(0) % num_blocks) * R
    rows = first_row + tl.arange(0, R)
    row_ok = rows < N
    if ONLY:
        row_ok &= tl.load(only_ptr + rows, mask=row_ok, other=0) != 0
        if tl.max(row_ok.to(tl.int32), 0) == 0:
            return
    target = tl.load(target_ptr + rows, mask=row_ok, other=-1).to(tl.int32)
    m = tl.full((R,), FAR, tl.float32)
    s = tl.zeros((R,), tl.float32)
    xs = tl.zeros((R,), tl.float32)
    zy = tl.zeros((R,), tl.float32)
    one, two = piece_columns(C)
    for start in range(span * SPAN, tl.minimum((span + 1) * SPAN, V), C):
        u = product_tile(
            x_ptr, w_ptr, first_row, N, start, V, H, stride_x, stride_w, EVEN_H, FULL, R, C, D
        )
        a, b, c, d = pieces(u, R, C)
        m, s, xs, zy = fold(
            a, start + one, target, m, s, xs, zy, b_ptr, V,
            logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP, ENTROPY,
        )  # fmt: skip
        m, s, xs, zy = fold(
            b, start + two, target, m, s, xs, zy, b_ptr, V,
            logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP, ENTROPY,
        )  # fmt: skip
        m, s, xs, zy = fold(
            c, start + one + C // 4, target, m, s, xs, zy, b_ptr, V,
            logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP, ENTROPY,
        )  # fmt: skip
        m, s, xs, zy = fold(
            d, start + two + C // 4, target, m, s, xs, zy, b_ptr, V,
            logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP, ENTROPY,
        )  # fmt: skip
    base = part_ptr + span.to(tl.int64) * N + rows
    step = tl.cast(tl.cdiv(V, SPAN), tl.int64) * N
    tl.store(base, m, mask=row_ok)
    tl.store(base + step, s, mask=row_ok)
    tl.store(base + 2 * step, xs, mask=row_ok)
    tl.store(base + 3 * step, zy, mask=row_ok)


@triton.jit(do_not_specialize=["N", "spans"])
def join_kernel(part_ptr, out_ptr, N, spans, R: tl.constexpr):
    """Joins part (4, spans, N) to out (4, N), span after span."""
    rows = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    row_ok = rows < N
    m = tl.full((R,), FAR, tl.float32)
    s = tl.zeros((R,), tl.float32)
    xs = tl.zeros((R,), tl.float32)
    zy = tl.zeros((R,), tl.float32)
    step = tl.cast(spans, tl.int64) * N
    base = part_ptr + rows
    for _ in range(spans):
        m2 = tl.load(base, mask=row_ok, other=0.0)
        s2 = tl.load(base + step, mask=row_ok, other=0.0)
        xs2 = tl.load(base + 2 * step, mask=row_ok, other=0.0)
        zy += tl.load(base + 3 * step, mask=row_ok, other=0.0)
        new_m = tl.maximum(m, m2)
        a, b = m - new_m, m2 - new_m
        xs = tl.exp(a) * (xs + s * a) + tl.exp(b) * (xs2 + s2 * b)
        s = s * tl.exp(a) + s2 * tl.exp(b)
        m = new_m
        base += N
    tl.store(out_ptr + rows, m, mask=row_ok)
    tl.store(out_ptr + N + rows, s, mask=row_ok)
    tl.store(out_ptr + 2 * tl.cast(N, tl.int64) + rows, xs, mask=row_ok)
    tl.store(out_ptr + 3 * tl.cast(N, tl.int64) + rows, zy, mask=row_ok)
