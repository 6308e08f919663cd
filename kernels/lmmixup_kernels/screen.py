"""`screened_topk`: the best rows in fp32, found by a scan in fp16 whose error is bounded.

Shapes: Q queries, N library rows, D dimensions, K neighbours, W candidates.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from lmmixup_kernels.topk import MOST_K, check_vectors, key_of, streaming_topk, take_best

SPARE = 8
"""Candidates beyond k at least; in all they are a power of two."""

MOST_SCREENED = MOST_K - SPARE

ROWS = 1024
"""Queries whose candidates are scored at a time."""

BLOCK = 16_384
"""Library rows that are rounded at a time."""


class Screen(NamedTuple):
    """A library with what its scan needs.

    Attributes:
        rows: (N, D) float32, as they were given.
        half: (N, D) float16, rounded.
        longest: () float64, length of the longest rounded row.
        error: () float64, the greatest distance of a row and its rounded one.
    """

    rows: torch.Tensor
    half: torch.Tensor
    longest: torch.Tensor
    error: torch.Tensor


class ScreenedTopK(NamedTuple):
    """The best rows of each query, as `TopK`, and how many queries the scan could not settle.

    Attributes:
        indices: (Q, K) int64; -1 where there are fewer than K.
        scores: (Q, K) float32; 0 there.
        num_again: Queries that were searched again in fp32.
    """

    indices: torch.Tensor
    scores: torch.Tensor
    num_again: int


def screen(library: torch.Tensor) -> Screen:
    """Rounds a library to fp16 and measures what that changes.

    Args:
        library: (N, D) float32.

    Raises:
        ValueError: Another shape.
        TypeError: Another type.

    Notes:
        2 N D bytes. A row with NaN is no neighbour, so it does not count; one that fp16 cannot hold
        makes every scan unsure, which is right and slow.

    Source:
        Ours.
    """
    check_vectors(library, library)
    if library.dtype != torch.float32:
        raise TypeError(f"library must be float32, got {library.dtype}")
    half = library.half()
    longest = error = torch.zeros((), dtype=torch.float64, device=library.device)
    for start in range(0, len(library), BLOCK):
        rounded, length, off = _rounding(library[start : start + BLOCK])
        del rounded
        longest, error = torch.maximum(longest, length.max()), torch.maximum(error, off.max())
    return Screen(library, half, longest, error)


def screened_topk(
    queries: torch.Tensor,
    library: Screen,
    k: int,
    *,
    itself_from: int | None = None,
    backend: str | None = None,
) -> ScreenedTopK:
    """Finds what `streaming_topk` finds in fp32, by a scan on tensor cores.

    Args:
        queries: (Q, D) float32.
        library: From `screen`.
        k: 1..120.
        itself_from: As `streaming_topk` takes it.
        backend: `triton`, `eager`, or `None` for Triton where it can run.

    Returns:
        Rows, scores, and how many queries were searched again.

    Raises:
        ValueError: Shapes, devices or `k` out of range.
        TypeError: Types that differ.

    Notes:
        2 Q N D FLOPs in fp16; at least `SPARE` candidates more than k are kept and scored in fp32.
        A row that is no candidate scores at most the last candidate's score by the scan plus the
        bound |q - q'| L + |q| E + D 2^-22 (|q| + |q'|) (L + E): q' the rounded query, L the longest
        rounded row, E the greatest rounding of a row; the last term bounds both sums. Where the
        k-th is not above that, the query is searched in fp32. Synchronises once.

    Source:
        Ours.

    Example:
        >>> import torch
        >>> found = screened_topk(torch.eye(2), screen(torch.eye(3)[:, :2]), 1, backend="eager")
        >>> found.indices.tolist(), found.num_again
        ([[0], [1]], 0)
    """
    check_vectors(queries, library.rows)
    if not 1 <= k <= MOST_SCREENED:
        raise ValueError(f"k must be in 1..{MOST_SCREENED}, got {k}; streaming_topk takes more")
    half, length, error = _rounding(queries)
    width = 1 << (k + SPARE - 1).bit_length()
    found = streaming_topk(half, library.half, width, itself_from=itself_from, backend=backend)
    keys = key_of(_scored(queries, library.rows, found.indices), found.indices.clamp(min=0))
    best = take_best(keys, k)
    bound = error * library.longest + (length + error) * library.error
    slack = queries.shape[1] * 2.0**-22 * (2 * length + error)
    bound += slack * (library.longest + library.error)
    # a list that is not full has every row in it
    settled = best.scores[:, -1].double() > found.scores[:, -1].double() + bound
    settled |= found.indices[:, -1] < 0
    again = (~(settled & bound.isfinite())).nonzero().squeeze(1)
    if len(again):
        indices, scores = _in_full(queries, library.rows, k, again, itself_from, backend)
        best.indices[again], best.scores[again] = indices, scores
    return ScreenedTopK(best.indices, best.scores, len(again))


def _rounding(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The rows in fp16, the length of each, and how far rounding moved it, in float64."""
    half = rows.half()
    length = torch.linalg.vector_norm(half.double(), dim=1)
    error = torch.linalg.vector_norm(half.double() - rows.double(), dim=1)
    nothing = rows.isnan().any(1)
    return half, length.masked_fill(nothing, 0), error.nan_to_num(torch.inf).masked_fill(nothing, 0)


def _scored(queries: torch.Tensor, rows: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Products in fp32 of each query and its candidates, (Q, W); NaN where there is none."""
    made = queries.new_full(indices.shape, torch.nan)
    if not len(rows):
        return made
    for start in range(0, len(queries), ROWS):
        part = slice(start, start + ROWS)
        candidates = rows[indices[part].clamp(min=0)]
        made[part] = candidates.mul_(queries[part, None]).sum(2)
    return made.masked_fill_(indices < 0, torch.nan)


def _in_full(
    queries: torch.Tensor, rows: torch.Tensor, k: int, again: torch.Tensor,
    itself_from: int | None, backend: str | None,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Some of the queries, searched in fp32."""
    if itself_from is None:
        found = streaming_topk(queries[again], rows, k, backend=backend)
        return found.indices, found.scores
    found = streaming_topk(queries[again], rows, k + 1, backend=backend)
    itself = found.indices == (again + itself_from)[:, None]
    others = itself.to(torch.uint8).argsort(dim=1, stable=True)[:, :k]
    return found.indices.gather(1, others), found.scores.gather(1, others)
