"""`components`: which rows hang together by pairs at a threshold, without a list of pairs.

Shapes: N rows, D dimensions.
"""

from __future__ import annotations

import torch

from lmmixup_kernels.backend import check_same_device, choose, on_its_device
from lmmixup_kernels.head import columns_are_rows
from lmmixup_kernels.products import product

ROWS = 1024
"""Rows of a block in plain torch."""

SPAN = 16_384
"""Rows that a block is compared with at a time in plain torch; rows of a launch in Triton."""

MOST_ROWS = 2**31 - SPAN
"""Rows that 32-bit row numbers allow."""


def components(
    vectors: torch.Tensor,
    threshold: float,
    *,
    slack: torch.Tensor | None = None,
    groups: torch.Tensor | None = None,
    backend: str | None = None,
) -> torch.Tensor:
    """Finds the connected components of all pairs of rows with inner product >= `threshold`.

    Args:
        vectors: (N, D) bf16, fp16 or fp32; at most 2^31 - 2^14 rows. For cosines, rows of length 1.
        threshold: Inner product from which on two rows are connected.
        slack: (N,) float32, what is added for a row to each of its products. With a bound on the
            error of a row's products in it, no pair that is at the threshold in truth is missed.
        groups: (N,) whole numbers; rows with the same number >= 0 are connected from the start.
        backend: `triton`, `eager`, or `None` for Triton where it can run.

    Returns:
        (N,) int64, the lowest row of each row's component. A row with NaN is alone.

    Raises:
        ValueError: Shapes or devices that do not fit, or a threshold that is not finite.
        TypeError: Vectors that are no floating numbers.

    Notes:
        N^2 D FLOPs (half of all pairs), summed in fp32. Memory 4 N bytes in Triton: neither
        products nor pairs are written, so a component may be of any size. Which products come
        first changes nothing in the result.

    Source:
        Ours; joins by compare-and-swap on roots as in ECL-CC (Jaiganesh and Burtscher, 2018).

    Example:
        >>> import torch
        >>> rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [1.0, 0.1]])
        >>> components(rows, 0.7, backend="eager").tolist()
        [0, 1, 0, 0]
    """
    _check(vectors, threshold, slack, groups)
    if slack is None:
        slack = torch.zeros(len(vectors), device=vectors.device)
    parent = _first_of_group(vectors, groups)
    chosen = choose("components", vectors, backend)
    join = _join_eager if chosen == "eager" else _launch
    join(columns_are_rows(vectors), slack.float().contiguous(), float(threshold), parent)
    return _flat(parent).long()


def _check(
    vectors: torch.Tensor, threshold: float, slack: torch.Tensor | None,
    groups: torch.Tensor | None,
) -> None:  # fmt: skip
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise ValueError(f"vectors must be (N, D) with D >= 1, got {tuple(vectors.shape)}")
    if not vectors.is_floating_point():
        raise TypeError(f"vectors must have a floating dtype, got {vectors.dtype}")
    if len(vectors) > MOST_ROWS:
        raise ValueError(f"vectors must have at most {MOST_ROWS} rows, got {len(vectors)}")
    if not abs(threshold) < float("inf"):
        raise ValueError(f"threshold must be finite, got {threshold}")
    for name, given in (("slack", slack), ("groups", groups)):
        if given is not None and given.shape != vectors.shape[:1]:
            raise ValueError(f"{name} must be ({len(vectors)},), got {tuple(given.shape)}")
    if groups is not None and groups.is_floating_point():
        raise ValueError(f"groups must be whole numbers, got {groups.dtype}")
    check_same_device([("vectors", vectors), ("slack", slack), ("groups", groups)])


def _first_of_group(vectors: torch.Tensor, groups: torch.Tensor | None) -> torch.Tensor:
    """A parent for each row: itself, or the first row of its group; (N,) int32."""
    own = torch.arange(len(vectors), dtype=torch.int32, device=vectors.device)
    if groups is None or not len(own):
        return own
    numbers, at = torch.unique(groups, return_inverse=True)
    first = own.new_full((len(numbers),), len(own)).scatter_reduce_(0, at, own, "amin")
    return torch.where(groups >= 0, first[at], own)


def _flat(parent: torch.Tensor) -> torch.Tensor:
    """The root of every row."""
    while True:
        above = parent[parent.long()]
        if torch.equal(above, parent):
            return parent
        parent = above


def _join_eager(
    vectors: torch.Tensor, slack: torch.Tensor, threshold: float, parent: torch.Tensor
) -> None:
    for row in range(0, len(vectors), ROWS):
        rows = slice(row, row + ROWS)
        for start in range(row, len(vectors), SPAN):
            columns = slice(start, start + SPAN)
            reached = product(vectors[rows], vectors[columns].t())
            reached += slack[rows, None]
            reached += slack[None, columns]
            _join_block(reached >= threshold, parent, rows, columns)


def _join_block(pending: torch.Tensor, parent: torch.Tensor, rows: slice, columns: slice) -> None:
    """Joins the pairs of a block in `parent`, which is flat before and after."""
    while True:
        pending &= parent[rows, None] != parent[None, columns]
        some = pending.any(1).nonzero().squeeze(1)
        if not len(some):
            return
        # one pair of each row, as in the kernel: pairs are never listed
        to = pending[some].to(torch.uint8).argmax(1)
        a, b = parent[rows][some].long(), parent[columns][to].long()
        while len(a):
            high, low = torch.maximum(a, b), torch.minimum(a, b).int()
            parent.scatter_reduce_(0, high, low, "amin")
            parent.copy_(_flat(parent))
            a, b = parent[a].long(), parent[b].long()
            a, b = a[a != b], b[a != b]


@on_its_device
def _launch(
    vectors: torch.Tensor, slack: torch.Tensor, threshold: float, parent: torch.Tensor
) -> None:
    import triton

    from lmmixup_kernels.components_kernel import components_kernel
    from lmmixup_kernels.launch import FUSION
    from lmmixup_kernels.tiles import tile

    N, D = vectors.shape
    size = tile("components", vectors.dtype, vectors.device)
    for first in range(0, N, SPAN):
        blocks = triton.cdiv(min(SPAN, N - first), size.rows)
        components_kernel[(blocks * triton.cdiv(N - first, size.columns),)](
            vectors, slack, parent, N, D, first, blocks, vectors.stride(0), threshold,
            EVEN_H=D % size.depth == 0, FULL=vectors.dtype == torch.float32, R=size.rows,
            C=size.columns, D=size.depth, num_warps=size.num_warps, num_stages=size.num_stages,
            **FUSION,
        )  # fmt: skip
