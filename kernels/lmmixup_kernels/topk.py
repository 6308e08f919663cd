"""`streaming_topk`: the exact best rows by inner product, without the matrix of similarities.

Shapes: Q queries, N library rows, D dimensions, K neighbours, S spans of the library.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from lmmixup_kernels.backend import check_same_device, choose, on_its_device, say_once
from lmmixup_kernels.head import columns_are_rows
from lmmixup_kernels.products import product

SPAN = 16_384
"""Library rows that one program streams through, at most, for 16 neighbours; for more it is in
proportion, so that the workspace is not."""

PROGRAMS = 512
"""Programs that fill a GPU; where queries are few, spans are shorter, down to `LEAST_SPAN` rows.
Keys are joined exactly, so no result depends on the cut."""

LEAST_SPAN = 1024

MOST_K = 128

NARROW_K = 32
"""Neighbours up to which the usual tile has enough registers."""

AMD_K = 64
"""Neighbours up to which a GPU of AMD has enough."""

MOST_ROWS = 2**31 - SPAN * MOST_K // 16
"""Library rows that 32-bit row numbers allow."""

NONE = -(2**63)

ROWS = 1024
"""Queries of a block in plain torch."""


class TopK(NamedTuple):
    """The best rows of each query, best first, ties by lower row.

    Attributes:
        indices: (Q, K) int64; -1 where there are fewer than K.
        scores: (Q, K) float32; 0 there.
    """

    indices: torch.Tensor
    scores: torch.Tensor


def streaming_topk(
    queries: torch.Tensor,
    library: torch.Tensor,
    k: int,
    *,
    itself_from: int | None = None,
    backend: str | None = None,
) -> TopK:
    """Finds the `k` library rows with the greatest inner product with each query.

    Args:
        queries: (Q, D) bf16, fp16 or fp32.
        library: (N, D) of the same dtype; at most 2^31 - 2^17 rows. For cosines, rows of length 1.
        k: 1..128.
        itself_from: Library row of query 0, where queries are a part of the library: query q then
            leaves out row `itself_from` + q. `None` leaves out nothing.
        backend: `triton`, `eager`, or `None` for Triton where it can run.

    Returns:
        Rows and scores. A row whose score is NaN is no neighbour.

    Raises:
        ValueError: Shapes, devices or `k` out of range.
        TypeError: Types that differ.

    Notes:
        2 Q N D FLOPs, summed in fp32 (exact to fp32's rounding; nothing is quantised or left out).
        Workspace 8 Q S max(k, 16) bytes, S = N / 16,384 rounded up; for fewer than 32,768 queries S
        is up to N / 1,024, as many as keep the GPU busy.

    Source:
        Ours.

    Example:
        >>> import torch
        >>> found = streaming_topk(torch.eye(2), torch.eye(3)[:, :2], 2, backend="eager")
        >>> found.indices.tolist(), found.scores.tolist()
        ([[0, 1], [1, 0]], [[1.0, 0.0], [1.0, 0.0]])
    """
    check_vectors(queries, library)
    if not 1 <= k <= MOST_K:
        raise ValueError(f"k must be in 1..{MOST_K}, got {k}")
    chosen = choose("streaming_topk", library, backend)
    if chosen == "triton" and torch.version.hip and k > AMD_K:
        say_once("streaming_topk", f"a GPU of AMD keeps {AMD_K} neighbours at most")
        chosen = "eager"
    if chosen == "eager":
        keys = _eager_keys(queries, library, k, itself_from)
    else:
        keys = _launch(columns_are_rows(queries), columns_are_rows(library), k, itself_from)
    return take_best(keys, k)


def check_vectors(queries: torch.Tensor, library: torch.Tensor) -> None:
    """Refuses vectors that do not fit together.

    Raises:
        ValueError: Shapes or devices.
        TypeError: Types.
    """
    if queries.ndim != 2 or library.ndim != 2 or queries.shape[1] != library.shape[1]:
        raise ValueError(
            f"expected queries (Q, D) and library (N, D), got {tuple(queries.shape)} and "
            f"{tuple(library.shape)}"
        )
    if queries.shape[1] == 0:
        raise ValueError("vectors must have at least one dimension, got D = 0")
    if not queries.is_floating_point() or queries.dtype != library.dtype:
        raise TypeError(
            f"queries and library must have one floating dtype, got {queries.dtype} and "
            f"{library.dtype}"
        )
    if len(library) > MOST_ROWS:
        raise ValueError(
            f"library must have at most {MOST_ROWS} rows, got {len(library)}; split it"
        )
    check_same_device([("library", library), ("queries", queries)])


def take_best(keys: torch.Tensor, k: int) -> TopK:
    """Decodes the `k` greatest of the keys (Q, any number)."""
    if keys.shape[1] < k:
        keys = torch.nn.functional.pad(keys, (0, k - keys.shape[1]), value=NONE)
    best = torch.topk(keys, k, dim=1, sorted=True).values
    there = best != NONE
    ordered = (best >> 32).to(torch.int32)
    bits = ordered ^ ((ordered >> 31) & 0x7FFFFFFF)
    indices = 0x7FFFFFFF - (best & 0xFFFFFFFF)
    return TopK(
        torch.where(there, indices, -1),
        torch.where(there, bits.view(torch.float32), torch.zeros((), device=keys.device)),
    )


def key_of(scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """One int64 that orders by score, then by lower row, as `topk_kernel.key_of` makes it.

    Args:
        scores: float32; NaN is none.
        rows: Library row of each, int64, of a shape that fits.
    """
    bits = (scores + 0.0).view(torch.int32)
    ordered = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(torch.int64)
    keys = (ordered << 32) | (0x7FFFFFFF - rows)
    return torch.where(torch.isnan(scores), NONE, keys)


def _eager_keys(
    queries: torch.Tensor, library: torch.Tensor, k: int, itself_from: int | None
) -> torch.Tensor:
    best = [queries.new_empty((0, k), dtype=torch.int64)]
    for row in range(0, len(queries), ROWS):
        asked = queries[row : row + ROWS]
        held = queries.new_empty((len(asked), 0), dtype=torch.int64)
        for start in range(0, len(library), SPAN):
            part = library[start : start + SPAN]
            rows = torch.arange(start, start + len(part), device=part.device)
            keys = key_of(product(asked, part.t()), rows)
            if itself_from is not None:
                own = torch.arange(len(asked), device=keys.device) + (itself_from + row - start)
                mine = (own >= 0) & (own < keys.shape[1])
                keys[mine.nonzero().squeeze(1), own[mine]] = NONE
            held = torch.cat([held, keys], 1)
            held = held.topk(min(k, held.shape[1]), dim=1).values
        best.append(torch.nn.functional.pad(held, (0, k - held.shape[1]), value=NONE))
    return torch.cat(best)


def span_of(num_rows: int, num_blocks: int, width: int) -> int:
    """Library rows of a program.

    Args:
        num_rows: N.
        num_blocks: Blocks of queries.
        width: Neighbours that a program keeps, a power of two.
    """
    span = SPAN * max(width // 16, 1)
    while span > LEAST_SPAN and num_blocks * -(-num_rows // span) < PROGRAMS:
        span //= 2
    return span


@on_its_device
def _launch(
    queries: torch.Tensor, library: torch.Tensor, k: int, itself_from: int | None
) -> torch.Tensor:
    import triton

    from lmmixup_kernels.launch import FUSION
    from lmmixup_kernels.tiles import tile
    from lmmixup_kernels.topk_kernel import topk_kernel

    (Q, D), N = queries.shape, len(library)
    size = tile("topk" if k <= NARROW_K else "topk_wide", queries.dtype, queries.device)
    width = triton.next_power_of_2(k)
    span = span_of(N, triton.cdiv(Q, size.rows), width)
    spans = triton.cdiv(N, span)
    keys = torch.empty((Q, spans * width), dtype=torch.int64, device=queries.device)
    if Q and spans:
        topk_kernel[(triton.cdiv(Q, size.rows) * spans,)](
            queries, library, keys, Q, N, D, span, queries.stride(0), library.stride(0),
            0 if itself_from is None else itself_from,
            ITSELF=itself_from is not None, EVEN_H=D % size.depth == 0,
            FULL=queries.dtype == torch.float32, K=width, R=size.rows, C=size.columns,
            D=size.depth, num_warps=size.num_warps, num_stages=size.num_stages, **FUSION,
        )  # fmt: skip
    return keys
