"""The tile of logits that every kernel of the head starts from.

Shapes: R rows, C columns, H hidden.
"""

import triton
import triton.language as tl


@triton.jit
def logit_tile(
    x_ptr, w_ptr, b_ptr, rows, row_ok, columns, column_ok, H, stride_x, stride_w,
    logit_scale, softcap, inverse_t,
    HAS_BIAS: tl.constexpr, HAS_CAP: tl.constexpr, EVEN_H: tl.constexpr, FULL: tl.constexpr,
    R: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Logits (R, C) of rows and columns, in fp32, and the cap's slope.

    Offsets are 64-bit: rows and columns come as int64.
    """
    sum_RC = tl.zeros((R, C), tl.float32)
    depth = tl.arange(0, D)
    x_ptrs = x_ptr + rows[:, None] * stride_x + depth[None, :]
    w_ptrs = w_ptr + columns[None, :] * stride_w + depth[:, None]
    for h in range(0, H, D):
        if EVEN_H:
            x = tl.load(x_ptrs + h, mask=row_ok[:, None], other=0.0)
            w = tl.load(w_ptrs + h, mask=column_ok[None, :], other=0.0)
        else:
            inside = depth + h < H
            x = tl.load(x_ptrs + h, mask=row_ok[:, None] & inside[None, :], other=0.0)
            w = tl.load(w_ptrs + h, mask=column_ok[None, :] & inside[:, None], other=0.0)
        if FULL:
            sum_RC = tl.dot(x, w, sum_RC, input_precision="ieee")
        else:
            sum_RC = tl.dot(x, w, sum_RC)
    if HAS_BIAS:
        sum_RC += tl.load(b_ptr + columns, mask=column_ok, other=0.0).to(tl.float32)[None, :]
    sum_RC *= logit_scale
    if HAS_CAP:
        # tanh by the logistic function; its rounding times the cap is 2e-6 at a cap of 30
        sum_RC = softcap * (2 * tl.sigmoid(2 * sum_RC / softcap) - 1)
    return sum_RC * inverse_t
