"""Histogram of the neighbours' labels, its rank, and the table's row."""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["Q"])
def posterior_kernel(
    index_ptr, label_ptr, table_ptr, before_ptr, out_ptr, Q, k, num_classes,
    R: tl.constexpr, K: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Writes the table's row (Q, C) of each query; NaN where a label is out of range."""
    queries = tl.program_id(0).to(tl.int64) * R + tl.arange(0, R)
    place = tl.arange(0, K)
    ok = (queries < Q)[:, None] & (place < k)[None, :]
    index = tl.load(index_ptr + queries[:, None] * k + place[None, :], mask=ok, other=-1)
    label = tl.load(label_ptr + index, mask=ok & (index >= 0), other=-1).to(tl.int32)
    bad = ok & ((label < 0) | (label >= num_classes))
    good = tl.max(bad.to(tl.int32), 1) == 0
    rank = tl.zeros((R,), tl.int64)
    left = tl.zeros((R,), tl.int32) + k
    for c in range(num_classes - 1):
        count = tl.sum((label == c).to(tl.int32), 1)
        at = (c * (k + 1) + left) * (k + 2) + count
        rank += tl.load(before_ptr + at, mask=good & (queries < Q), other=0)
        left -= count
    column = tl.arange(0, WIDTH)
    there = (queries < Q)[:, None] & (column < num_classes)[None, :]
    at = tl.where(good, rank, 0)[:, None] * num_classes + column[None, :]
    row = tl.load(table_ptr + at, mask=there, other=0.0)
    row = tl.where(good[:, None], row, float("nan"))
    tl.store(out_ptr + queries[:, None] * num_classes + column[None, :], row, mask=there)
