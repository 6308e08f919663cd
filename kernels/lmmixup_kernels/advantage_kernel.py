"""Rewards of a group, weighed, summed and normalised; the cosine on the way."""

import triton
import triton.language as tl


@triton.jit
def advantage_kernel(
    reward_ptr, weight_ptr, a_ptr, b_ptr, total_ptr, advantage_ptr, flat_ptr,
    group_size, num_rewards, num_dimensions, stride_a, stride_b,
    epsilon, threshold, alignment_weight,
    ALIGN: tl.constexpr, G: tl.constexpr, W: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    """One program a group; writes total and advantage (N,), counts groups without variance."""
    place = tl.arange(0, G)
    inside = place < group_size
    rows = tl.program_id(0).to(tl.int64) * group_size + place
    column = tl.arange(0, W)
    at = rows[:, None] * num_rewards + column[None, :]
    ok = inside[:, None] & (column < num_rewards)[None, :]
    weight = tl.load(weight_ptr + at, mask=ok, other=0.0)
    reward = tl.load(reward_ptr + at, mask=ok, other=0.0)
    total = tl.sum(tl.where(weight == 0, 0.0, reward * weight), 1)
    if ALIGN:
        ab = tl.zeros((G,), tl.float32)
        aa = tl.zeros((G,), tl.float32)
        bb = tl.zeros((G,), tl.float32)
        for d in range(0, num_dimensions, DEPTH):
            depth = d + tl.arange(0, DEPTH)
            there = inside[:, None] & (depth < num_dimensions)[None, :]
            a_ptrs = a_ptr + rows[:, None] * stride_a + depth[None, :]
            b_ptrs = b_ptr + rows[:, None] * stride_b + depth[None, :]
            a = tl.load(a_ptrs, mask=there, other=0.0).to(tl.float32)
            b = tl.load(b_ptrs, mask=there, other=0.0).to(tl.float32)
            ab += tl.sum(a * b, 1)
            aa += tl.sum(a * a, 1)
            bb += tl.sum(b * b, 1)
        cosine = ab / tl.maximum(tl.sqrt(aa) * tl.sqrt(bb), 1e-12)
        aligned = tl.where(cosine == cosine, (cosine >= threshold).to(tl.float32), float("nan"))
        total += alignment_weight * aligned
    tl.store(total_ptr + rows, total, mask=inside)
    scored = inside & (total == total)
    count = tl.sum(scored.to(tl.int32), 0)
    mean = tl.sum(tl.where(scored, total, 0.0), 0) / tl.maximum(count, 1)
    away = tl.where(scored, total - mean, 0.0)
    deviation = tl.sqrt(tl.sum(away * away, 0) / tl.maximum(count - 1, 1))
    high = tl.max(tl.where(scored, total, -float("inf")), 0)
    low = tl.min(tl.where(scored, total, float("inf")), 0)
    flat = (count < 2) | (high == low)
    advantage = tl.where(flat, 0.0, away / (deviation + epsilon))
    tl.store(advantage_ptr + rows, advantage, mask=inside)
    if flat:
        tl.atomic_add(flat_ptr, 1)
