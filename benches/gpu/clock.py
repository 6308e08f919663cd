"""Seconds and peak memory of work on a GPU, contenders in turn."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


class Deadline:
    """How long the whole run may still take."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; below 0 when it is over."""
        return self.end - time.monotonic()


def once(run: Callable[[], Any], device: str) -> float:
    """Milliseconds of one call, by the GPU's own clock."""
    if device != "cuda":
        start = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - start)
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


def peak_mb(run: Callable[[], Any], device: str) -> float | None:
    """MB that the allocator held at most above what was held before."""
    if device != "cuda":
        return None
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def side_by_side(
    contenders: dict[str, Callable[[], Any]], device: str, *, rounds: int, deadline: Deadline
) -> tuple[dict[str, dict], dict[str, str]]:
    """Milliseconds, ratios to the first contender in the same round, and peak memory.

    The first call of each, which compiles, is not counted. One that fails is left out, with why.
    """
    runs: dict[str, list[float]] = {}
    peaks: dict[str, float | None] = {}
    failed: dict[str, str] = {}
    for name, run in contenders.items():
        try:
            once(run, device)
            peaks[name] = peak_mb(run, device)
            runs[name] = []
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {str(error)[:200]}"
        if device == "cuda":
            torch.cuda.empty_cache()
    for _ in range(rounds):
        if deadline.left() < 0:
            break
        for name, times in runs.items():
            times.append(once(contenders[name], device))
    first = next(iter(runs), None)
    made = {}
    for name, times in runs.items():
        if times:
            ratios = [a / b for a, b in zip(times, runs[first], strict=False)]
            made[name] = {"ms": statistics.median(times), "times_ours": statistics.median(ratios),
                          "peak_mb": peaks[name], "rounds": len(times)}  # fmt: skip
    return made, failed
