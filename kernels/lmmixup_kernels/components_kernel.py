"""Joins rows whose product reaches a threshold, while the products are still in registers."""

import triton
import triton.language as tl

from lmmixup_kernels.tile_kernel import product_tile


@triton.jit
def root_of(parent_ptr, row):
    """Where the parents of rows (R,) end: a row that is its own parent.

    Volatile, because other programs write parents, which a multiprocessor's own cache may not see.
    """
    up = tl.load(parent_ptr + row, volatile=True)
    while tl.max((up != row).to(tl.int32), 0) > 0:
        row = up
        up = tl.load(parent_ptr + row, volatile=True)
    return row


@triton.jit
def unite(parent_ptr, a, b):
    """Joins the components of rows a and b, (R,) each; pairs of one row do nothing.

    Only a root gets another parent, and only once: no join of another program is lost. The parent
    is always the lower row, so the root of a component is its lowest row in the end.
    """
    a = root_of(parent_ptr, a)
    b = root_of(parent_ptr, b)
    while tl.max((a != b).to(tl.int32), 0) > 0:
        low = tl.minimum(a, b)
        high = tl.maximum(a, b)
        tl.atomic_cas(parent_ptr + high, high, low)
        a = root_of(parent_ptr, low)
        b = root_of(parent_ptr, high)


@triton.jit
def shortened(parent_ptr, row):
    """Roots of rows (R,), which become their parents; a root is left to whoever joins it."""
    root = root_of(parent_ptr, row)
    tl.store(parent_ptr + row, root, mask=root != row)
    return root


@triton.jit(do_not_specialize=["N", "first", "num_blocks"])
def components_kernel(
    row_ptr, slack_ptr, parent_ptr, N, H, first, num_blocks, stride_x, threshold,
    EVEN_H: tl.constexpr, FULL: tl.constexpr,
    R: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Joins in `parent_ptr` the pairs of a tile with product + slack + slack >= threshold.

    A tile is rows from `first` on by rows that come later. Grid: `num_blocks` blocks of the former
    fastest, then blocks of the latter, from `first` on too.
    """
    first_row = first + (tl.program_id(0) % num_blocks) * R
    first_column = first + (tl.program_id(0) // num_blocks) * C
    if first_column + C - 1 <= first_row:
        return
    sum_RC = product_tile(
        row_ptr, row_ptr, first_row, N, first_column, N, H, stride_x, stride_x,
        EVEN_H, FULL, R, C, D,
    )  # fmt: skip
    rows = first_row + tl.arange(0, R)
    columns = first_column + tl.arange(0, C)
    sum_RC += tl.load(slack_ptr + rows, mask=rows < N, other=0.0)[:, None]
    sum_RC += tl.load(slack_ptr + columns, mask=columns < N, other=0.0)[None, :]
    pending = (sum_RC >= threshold) & (rows[:, None] < columns[None, :]) & (columns < N)[None, :]
    row = tl.minimum(rows, N - 1)
    column = tl.minimum(columns, N - 1)
    while tl.max(tl.max(pending.to(tl.int32), 1), 0) > 0:
        # one pair of each row, and then what these joins have not joined already
        to = tl.min(tl.where(pending, columns[None, :], N), 1)
        unite(parent_ptr, tl.where(to < N, row, 0), tl.where(to < N, to, 0))
        row_root = shortened(parent_ptr, row)
        column_root = shortened(parent_ptr, column)
        pending &= row_root[:, None] != column_root[None, :]
