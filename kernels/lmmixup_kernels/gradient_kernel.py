"""The logits' gradient of a slice, from recomputed logits."""

import triton
import triton.language as tl

from lmmixup_kernels.tile_kernel import piece_columns, pieces, product_tile, to_logits


@triton.jit
def write(
    u, column, start, stop, target_ptr, lse_ptr, weight_ptr, at_target_ptr, of_entropy_ptr,
    entropy_ptr, out_ptr, first_row, num_rows, stride_out, b_ptr, logit_scale, softcap, inverse_t,
    HAS_BIAS: tl.constexpr, HAS_CAP: tl.constexpr, ENTROPY: tl.constexpr, R: tl.constexpr,
):  # fmt: skip
    """Writes the gradient of some columns, `column` places after `start`."""
    row = tl.arange(0, R)
    rows = first_row + row
    row_ok = rows < num_rows
    columns = start + column
    z = to_logits(u, b_ptr, columns, stop, logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP)
    log_p = z - tl.load(lse_ptr + rows, mask=row_ok, other=0.0)[:, None]
    share = tl.load(weight_ptr + rows, mask=row_ok, other=0.0)[:, None]
    if ENTROPY:
        entropy = tl.load(entropy_ptr + rows, mask=row_ok, other=0.0)
        of_entropy = tl.load(of_entropy_ptr + rows, mask=row_ok, other=0.0)
        share = share - of_entropy[:, None] * (log_p + entropy[:, None])
    g = share * tl.exp(log_p)
    target = tl.load(target_ptr + rows, mask=row_ok, other=-1).to(tl.int32)
    at_target = tl.load(at_target_ptr + rows, mask=row_ok, other=0.0)
    g = tl.where(columns[None, :] == target[:, None], at_target[:, None], g)
    if HAS_CAP:
        t = z / (softcap * inverse_t)
        g *= 1 - t * t
    g *= logit_scale * inverse_t
    at = row[:, None] * tl.cast(stride_out, tl.int32) + column[None, :]
    ok = row_ok[:, None] & (columns < stop)[None, :]
    tl.store(out_ptr + at, g.to(out_ptr.dtype.element_ty), mask=ok)


@triton.jit(do_not_specialize=["N", "start"])
def gradient_kernel(
    x_ptr, w_ptr, b_ptr, target_ptr, lse_ptr, weight_ptr, at_target_ptr, of_entropy_ptr,
    entropy_ptr, out_ptr,
    N, H, start, stop, stride_x, stride_w, stride_out, logit_scale, softcap, inverse_t,
    HAS_BIAS: tl.constexpr, HAS_CAP: tl.constexpr, EVEN_H: tl.constexpr, FULL: tl.constexpr,
    ENTROPY: tl.constexpr, R: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Writes dloss/du to out (N, stop - start).

    That is (weight - of_entropy (log p + entropy)) p, and at_target at the label, times the
    cap's slope and logit_scale / T. Grid: blocks of rows fastest, then tiles of columns.
    """
    num_blocks = tl.cdiv(N, R)
    first_row = (tl.program_id(0) % num_blocks) * R
    first = start + (tl.program_id(0) // num_blocks) * C
    u = product_tile(
        x_ptr, w_ptr, first_row, N, first, stop, H, stride_x, stride_w, EVEN_H, FULL, R, C, D
    )
    out_ptr += tl.cast(first_row, tl.int64) * stride_out + (first - start)
    a, b, c, d = pieces(u, R, C)
    one, two = piece_columns(C)
    write(
        a, one, first, stop, target_ptr, lse_ptr, weight_ptr, at_target_ptr, of_entropy_ptr,
        entropy_ptr, out_ptr, first_row, N, stride_out, b_ptr, logit_scale, softcap,
        inverse_t, HAS_BIAS, HAS_CAP, ENTROPY, R,
    )  # fmt: skip
    write(
        b, two, first, stop, target_ptr, lse_ptr, weight_ptr, at_target_ptr, of_entropy_ptr,
        entropy_ptr, out_ptr, first_row, N, stride_out, b_ptr, logit_scale, softcap,
        inverse_t, HAS_BIAS, HAS_CAP, ENTROPY, R,
    )  # fmt: skip
    write(
        c, one + C // 4, first, stop, target_ptr, lse_ptr, weight_ptr, at_target_ptr,
        of_entropy_ptr, entropy_ptr, out_ptr, first_row, N, stride_out, b_ptr, logit_scale, softcap,
        inverse_t, HAS_BIAS, HAS_CAP, ENTROPY, R,
    )  # fmt: skip
    write(
        d, two + C // 4, first, stop, target_ptr, lse_ptr, weight_ptr, at_target_ptr,
        of_entropy_ptr, entropy_ptr, out_ptr, first_row, N, stride_out, b_ptr, logit_scale, softcap,
        inverse_t, HAS_BIAS, HAS_CAP, ENTROPY, R,
    )  # fmt: skip
