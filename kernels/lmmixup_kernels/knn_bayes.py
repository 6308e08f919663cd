"""`knn_bayes`: nearest neighbours, their labels' histogram, and the posterior from a table.

Shapes: Q queries, N library rows, D dimensions, K neighbours, C classes, M histograms.
"""

from __future__ import annotations

from functools import cache
from math import comb
from typing import NamedTuple

import torch

from lmmixup_kernels.backend import check_same_device, choose, on_its_device
from lmmixup_kernels.topk import streaming_topk


class KnnBayes(NamedTuple):
    """Posteriors and what they rest on.

    Attributes:
        posterior: (Q, C) float64, rows of the table.
        indices: (Q, K) int64 neighbours, nearest first.
        scores: (Q, K) float32 their inner products.
        num_close: () int64: queries whose neighbours K and K + 1 are less than 1e-5 apart, so that
            another order of summation may choose the other one.
    """

    posterior: torch.Tensor
    indices: torch.Tensor
    scores: torch.Tensor
    num_close: torch.Tensor


def knn_bayes(
    queries: torch.Tensor,
    library: torch.Tensor,
    labels: torch.Tensor,
    table: torch.Tensor,
    *,
    k: int = 16,
    itself_from: int | None = None,
    backend: str | None = None,
) -> KnnBayes:
    """Finds the `k` nearest library rows of each query and looks up the posterior.

    Args:
        queries: (Q, D) bf16, fp16 or fp32, rows of length 1 for cosines.
        library: (N, D) of the same dtype, N at least `k`.
        labels: (N,) whole numbers in 0..C - 1.
        table: (M, C) float64, one posterior for each histogram of `k` labels in lexicographic
            order, M = (k + C - 1 choose C - 1); `lmmixup.ops.posterior_table` makes it.
        k: Neighbours, 1..127.
        itself_from: As `streaming_topk` takes it.
        backend: `triton`, `eager`, or `None` for Triton where it can run.

    Returns:
        Posteriors, the bits of the table: equal neighbours give equal posteriors.

    Raises:
        ValueError: Shapes, too few rows, a table for another `k`; on a CPU also labels out of
            range. On a GPU the posterior of a query with such a neighbour is NaN.
        TypeError: Types that do not fit.

    Notes:
        2 Q N D FLOPs; nothing of size Q N, and, after the first call for a `k`, no synchronisation
        on a GPU.

    Source:
        LM-Mixup (arXiv 2510.20449), KNN-Bayes; the table: ours.

    Example:
        >>> import torch
        >>> table = torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]], dtype=torch.float64)
        >>> found = knn_bayes(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), table, k=2,
        ...                   backend="eager")
        >>> found.posterior.tolist()
        [[0.5, 0.5], [0.5, 0.5]]
    """
    num_classes = table.shape[1] if table.ndim == 2 else 0
    _check(library, labels, table, k, num_classes, itself_from)
    chosen = choose("knn_bayes", library, backend)
    # one neighbour more than is used, to see how close the choice was
    found = streaming_topk(queries, library, k + 1, itself_from=itself_from, backend=chosen)
    close = (found.scores[:, k - 1] - found.scores[:, k] < 1e-5) & (found.indices[:, k] >= 0)
    indices = found.indices[:, :k].contiguous()
    before = _before(k, num_classes, table.device)
    look = _look_up if chosen == "eager" else _launch
    posterior = look(indices, labels.contiguous(), table.contiguous(), before)
    return KnnBayes(posterior, indices, found.scores[:, :k], close.sum())


def _check(
    library: torch.Tensor, labels: torch.Tensor, table: torch.Tensor, k: int, num_classes: int,
    itself_from: int | None,
) -> None:  # fmt: skip
    if not 1 <= k <= 127:
        raise ValueError(f"k must be in 1..127, got {k}")
    rows = comb(k + num_classes - 1, num_classes - 1) if num_classes else 0
    if table.ndim != 2 or len(table) != rows or table.dtype != torch.float64:
        raise ValueError(
            f"table must be (M, C) float64 with a row for each histogram of k = {k} labels, "
            f"got {table.dtype} of shape {tuple(table.shape)}"
        )
    if labels.shape != library.shape[:1] or labels.is_floating_point():
        raise ValueError(
            f"labels must be {len(library)} whole numbers, got {labels.dtype} of shape "
            f"{tuple(labels.shape)}"
        )
    if len(library) - (itself_from is not None) < k:
        raise ValueError(f"expected at least k = {k} neighbours, got {len(library)} library rows")
    check_same_device([("library", library), ("labels", labels), ("table", table)])
    if labels.device.type == "cpu" and not bool(((labels >= 0) & (labels < num_classes)).all()):
        raise ValueError(
            f"labels must be in 0..{num_classes - 1}, got {labels.min()}..{labels.max()}"
        )


@cache
def _before(k: int, num_classes: int, device: torch.device) -> torch.Tensor:
    """before[c, n, m]: histograms of n labels over classes c.. whose first count is below m."""
    before = torch.zeros((max(num_classes - 1, 1), k + 1, k + 2), dtype=torch.int64)
    for c in range(num_classes - 1):
        slots = num_classes - c - 2
        for n in range(k + 1):
            for m in range(n + 1):
                before[c, n, m + 1] = before[c, n, m] + comb(n - m + slots, slots)
    return before.to(device)


def _look_up(
    indices: torch.Tensor, labels: torch.Tensor, table: torch.Tensor, before: torch.Tensor
) -> torch.Tensor:
    (Q, k), C = indices.shape, table.shape[1]
    found = labels.long()[indices]
    good = ((found >= 0) & (found < C)).all(1)
    counts = torch.zeros((Q, C), dtype=torch.int64, device=table.device)
    counts.scatter_add_(1, found.clamp(0, C - 1), torch.ones_like(found))
    rank = torch.zeros(Q, dtype=torch.int64, device=table.device)
    left = torch.full_like(rank, k)
    for c in range(C - 1):
        rank += before[c, left, counts[:, c]]
        left -= counts[:, c]
    return torch.where(good.unsqueeze(1), table[rank], torch.nan)


@on_its_device
def _launch(
    indices: torch.Tensor, labels: torch.Tensor, table: torch.Tensor, before: torch.Tensor
) -> torch.Tensor:
    import triton

    from lmmixup_kernels.launch import FUSION
    from lmmixup_kernels.posterior_kernel import posterior_kernel

    (Q, k), C = indices.shape, table.shape[1]
    posterior = table.new_empty((Q, C))
    if Q:
        rows = 64
        posterior_kernel[(triton.cdiv(Q, rows),)](
            indices, labels, table, before, posterior, Q, k, C,
            R=rows, K=triton.next_power_of_2(k), WIDTH=triton.next_power_of_2(C), **FUSION,
        )  # fmt: skip
    return posterior
