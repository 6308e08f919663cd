"""The label's logit of each row, by gathering its row of the weight."""

import triton
import triton.language as tl


@triton.jit
def target_kernel(
    x_ptr, w_ptr, b_ptr, target_ptr, out_ptr, V, H, stride_x, stride_w,
    HAS_BIAS: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Writes x . W_y + b_y in fp32 to out (N,), NaN for a label out of range; a row a program."""
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(target_ptr + row)
    if (target < 0) | (target >= V):
        tl.store(out_ptr + row, float("nan"))
    else:
        total = tl.zeros((D,), tl.float32)
        for h in range(0, H, D):
            at = h + tl.arange(0, D)
            x = tl.load(x_ptr + row * stride_x + at, mask=at < H, other=0.0).to(tl.float32)
            w = tl.load(w_ptr + target * stride_w + at, mask=at < H, other=0.0).to(tl.float32)
            total += x * w
        u = tl.sum(total, 0)
        if HAS_BIAS:
            u += tl.load(b_ptr + target).to(tl.float32)
        tl.store(out_ptr + row, u)
