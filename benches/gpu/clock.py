"""Milliseconds and peak memory of work on a GPU, contenders in turn."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class OutOfTimeError(Exception):
    """The part's time is over."""


class Deadline:
    """How long a part may still take."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; below 0 when it is over."""
        return self.end - time.monotonic()

    def check(self) -> None:
        """Raises `OutOfTimeError` when it is over."""
        if self.left() < 0:
            raise OutOfTimeError


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


def milliseconds(run: Callable[[], Any], device: str, *, rounds: int) -> float:
    """Median of some calls, after two that do not count."""
    return statistics.median([once(run, device) for _ in range(rounds + 2)][2:])


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
) -> Iterator[dict[str, Any]]:
    """A row a contender: milliseconds, times ours (the first's) in the same round, peak memory.

    The first call of each, which compiles, is not counted. One that fails is left out, with why.
    """
    runs: dict[str, list[float]] = {}
    peaks: dict[str, float | None] = {}
    first_s: dict[str, float] = {}
    for name, run in contenders.items():
        deadline.check()
        start = time.monotonic()
        try:
            once(run, device)
            first_s[name] = time.monotonic() - start
            peaks[name] = peak_mb(run, device)
            runs[name] = []
        except Exception as error:
            said = " ".join(str(error).split())
            yield {"name": name, "left_out": f"{type(error).__name__}: {said[:200]}"}
        if device == "cuda":
            torch.cuda.empty_cache()
    for _ in range(rounds):
        if deadline.left() < 0:
            break
        for name, times in runs.items():
            times.append(once(contenders[name], device))
    first = next(iter(runs), None)
    for name, times in runs.items():
        if times:
            ratios = [a / b for a, b in zip(times, runs[first], strict=True)]
            yield {"name": name, "ms": statistics.median(times), "least_ms": min(times),
                   "times_ours": None if name == first else statistics.median(ratios),
                   "peak_mb": peaks[name], "first_s": first_s[name]}  # fmt: skip
    deadline.check()
