"""The logits' gradient of a slice, from recomputed logits."""

import triton
import triton.language as tl

from lmmixup_kernels.tile_kernel import logit_tile


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
    rows = (tl.program_id(0) % num_blocks).to(tl.int64) * R + tl.arange(0, R)
    row_ok = rows < N
    first = (tl.program_id(0) // num_blocks).to(tl.int64) * C
    columns = start + first + tl.arange(0, C)
    inside = columns < stop
    z = logit_tile(
        x_ptr, w_ptr, b_ptr, rows, row_ok, columns, inside, H, stride_x, stride_w,
        logit_scale, softcap, inverse_t, HAS_BIAS, HAS_CAP, EVEN_H, FULL, R, C, D,
    )  # fmt: skip
    target = tl.load(target_ptr + rows, mask=row_ok, other=-1)
    at_target = tl.load(at_target_ptr + rows, mask=row_ok, other=0.0)
    log_p = z - tl.load(lse_ptr + rows, mask=row_ok, other=0.0)[:, None]
    share = tl.load(weight_ptr + rows, mask=row_ok, other=0.0)[:, None]
    if ENTROPY:
        entropy = tl.load(entropy_ptr + rows, mask=row_ok, other=0.0)
        of_entropy = tl.load(of_entropy_ptr + rows, mask=row_ok, other=0.0)
        share = share - of_entropy[:, None] * (log_p + entropy[:, None])
    g = share * tl.exp(log_p)
    g = tl.where(columns[None, :] == target[:, None], at_target[:, None], g)
    if HAS_CAP:
        t = z / (softcap * inverse_t)
        g *= 1 - t * t
    g *= logit_scale * inverse_t
    ptrs = out_ptr + rows[:, None] * stride_out + (columns - start)[None, :]
    tl.store(ptrs, g.to(out_ptr.dtype.element_ty), mask=row_ok[:, None] & inside[None, :])
