"""The K best rows of each query, kept while the library streams by."""

import triton
import triton.language as tl

from lmmixup_kernels.tile_kernel import product_tile

NONE = tl.constexpr(-(2**63))


@triton.jit
def key_of(score, row):
    """One int64 that orders by score, then by lower row; a score that is not a number is none."""
    bits = (score + 0.0).to(tl.int32, bitcast=True)  # + 0.0 makes -0 and 0 one value
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # negative floats order backwards as integers
    key = (ordered.to(tl.int64) << 32) | (0x7FFFFFFF - row)
    return tl.where(score == score, key, NONE)


@triton.jit
def insert(best, keys):
    """Replaces the least of `best` (R, K) by greater ones of `keys` (R, C), most often by none.

    Keys differ, so the least is in one place.
    """
    least = tl.min(best, 1)
    top = tl.max(keys, 1)
    while tl.max((top > least).to(tl.int32), 0) > 0:
        better = (best == least[:, None]) & (top > least)[:, None]
        # where places are still empty they are all equal: fill the first of them
        place = tl.arange(0, best.shape[1])[None, :]
        first = tl.min(tl.where(better, place, best.shape[1]), 1)
        best = tl.where(place == first[:, None], top[:, None], best)
        keys = tl.where(keys == top[:, None], NONE, keys)
        least = tl.min(best, 1)
        top = tl.max(keys, 1)
    return best


@triton.jit(do_not_specialize=["Q", "N", "span", "own"])
def topk_kernel(
    query_ptr, row_ptr, key_ptr, Q, N, H, span, stride_q, stride_x, own,
    ITSELF: tl.constexpr, EVEN_H: tl.constexpr, FULL: tl.constexpr,
    K: tl.constexpr, R: tl.constexpr, C: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Writes the K best keys of each query and span of the library to (Q, spans, K), unsorted.

    ITSELF leaves out row `own` + query. Grid: blocks of queries fastest, then spans of `span` rows.
    """
    num_blocks = tl.cdiv(Q, R)
    spans = tl.cdiv(N, span)
    part = tl.program_id(0) // num_blocks
    first_row = (tl.program_id(0) % num_blocks) * R
    queries = first_row + tl.arange(0, R)
    query_ok = queries < Q
    best = tl.full((R, K), NONE, tl.int64)
    first = part * span
    for start in range(first, tl.minimum(first + span, N), C):
        rows = start + tl.arange(0, C)
        row_ok = (rows < N) & (rows < first + span)
        sum_RC = product_tile(
            query_ptr, row_ptr, first_row, Q, start, N, H, stride_q, stride_x,
            EVEN_H, FULL, R, C, D,
        )  # fmt: skip
        keys = key_of(sum_RC, rows[None, :])
        keep = row_ok[None, :] & query_ok[:, None]
        if ITSELF:
            keep &= rows[None, :] != own + queries[:, None]
        best = insert(best, tl.where(keep, keys, NONE))
    at = (queries.to(tl.int64)[:, None] * spans + part) * K + tl.arange(0, K)[None, :]
    tl.store(key_ptr + at, best, mask=query_ok[:, None])
