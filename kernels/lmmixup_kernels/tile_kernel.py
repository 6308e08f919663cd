"""The tile of logits that every kernel of the head starts from.

Shapes: R rows, C columns, D depth of a step, H hidden.
"""

import triton
import triton.language as tl


@triton.jit
def product_tile(
    x_ptr, w_ptr, first_row, num_rows, first_column, num_columns, H, stride_x, stride_w,
    EVEN_H: tl.constexpr, FULL: tl.constexpr,
    R: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Products (R, C) of rows and columns from `first_row` and `first_column` on, in fp32.

    Rows and columns past the last are read as the last again, which costs no predicates; whoever
    calls leaves them out. The tile's place is 64-bit, places in it are 32-bit.
    """
    x_ptr += tl.cast(first_row, tl.int64) * stride_x
    w_ptr += tl.cast(first_column, tl.int64) * stride_w
    row = tl.minimum(tl.arange(0, R), tl.cast(num_rows - 1 - first_row, tl.int32))
    column = tl.minimum(tl.arange(0, C), tl.cast(num_columns - 1 - first_column, tl.int32))
    depth = tl.arange(0, D)
    x_at = row[:, None] * tl.cast(stride_x, tl.int32) + depth[None, :]
    w_at = column[None, :] * tl.cast(stride_w, tl.int32) + depth[:, None]
    sum_RC = tl.zeros((R, C), tl.float32)
    for h in range(0, H, D):
        if EVEN_H:
            x = tl.load(x_ptr + x_at)
            w = tl.load(w_ptr + w_at)
        else:
            inside = depth + h < H
            x = tl.load(x_ptr + x_at, mask=inside[None, :], other=0.0)
            w = tl.load(w_ptr + w_at, mask=inside[:, None], other=0.0)
        if FULL:
            sum_RC = tl.dot(x, w, sum_RC, input_precision="ieee")
        else:
            sum_RC = tl.dot(x, w, sum_RC)
        x_ptr += D
        w_ptr += D
    return sum_RC


@triton.jit
def to_logits(
    u, b_ptr, columns, V, logit_scale, softcap, inverse_t,
    HAS_BIAS: tl.constexpr, HAS_CAP: tl.constexpr,
):  # fmt: skip
    """Logits of the products of these columns."""
    if HAS_BIAS:
        u += tl.load(b_ptr + columns, mask=columns < V, other=0.0).to(tl.float32)[None, :]
    u *= logit_scale
    if HAS_CAP:
        # tanh by the logistic function; its rounding times the cap is 2e-6 at a cap of 30
        u = softcap * (2 * tl.sigmoid(2 * u / softcap) - 1)
    return u * inverse_t


@triton.jit
def halve(z, R: tl.constexpr, C: tl.constexpr):
    """The columns of a tile in two halves: its quarters 0 and 2, its quarters 1 and 3.

    Cut at this bit of the column, not at the highest one, the halves lie in each thread's own
    registers on every kind of tensor core.
    """
    low, high = tl.split(tl.permute(tl.reshape(z, (R, 2, 2, C // 4)), (0, 1, 3, 2)))
    return tl.reshape(low, (R, C // 2)), tl.reshape(high, (R, C // 2))


@triton.jit
def pieces(z, R: tl.constexpr, C: tl.constexpr):
    """The columns of a tile in four pieces: whoever takes one at a time needs fewer registers."""
    low, high = halve(z, R, C)
    a, b = halve(low, R, C // 2)
    c, d = halve(high, R, C // 2)
    return a, b, c, d


@triton.jit
def piece_columns(C: tl.constexpr):
    """Columns of the first two pieces; those of the other two are C // 4 further."""
    at = tl.arange(0, C // 4)
    at += (at // (C // 8)) * (C // 8)
    return at + (at // (C // 4)) * (C // 4), at + C // 8 + ((at + C // 8) // (C // 4)) * (C // 4)
