"""The log of a training: one JSON line an entry, and a table for people."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

SHOWN = {
    "sft": {
        "loss": "loss",
        "mean_token_accuracy": "accuracy",
        "grad_norm": "grad norm",
        "learning_rate": "lr",
        "tokens_per_s": "tokens/s",
    },
    "grpo": {
        "reward": "reward",
        "reward/quality": "quality",
        "reward/alignment": "alignment",
        "reward/format": "format",
        "frac_reward_zero_std": "one reward",
        "completions/mean_length": "length",
        "kl": "kl",
        "entropy": "entropy",
        "clip_ratio/region_mean": "clipped",
        "grad_norm": "grad norm",
        "tokens_per_s": "tokens/s",
    },
}
"""Columns of the table by kind of training: key of the log and heading."""

_WIDTH = 10


def entry_of(logs: Mapping[str, Any], step: int) -> dict[str, Any]:
    """One entry: the step and every number of the log that is finite."""
    numbers = {
        key: value
        for key, value in sorted(logs.items())
        if isinstance(value, int | float) and math.isfinite(value)
    }
    return {"step": step, **numbers}


def heading(kind: str) -> str:
    """First line of the table."""
    return "      step" + "".join(f"{name:>{_WIDTH}}" for name in SHOWN[kind].values())


def line(kind: str, entry: Mapping[str, Any]) -> str | None:
    """One line of the table, or `None` for an entry that is no step of training."""
    if "loss" not in entry:
        return None
    return f"{entry['step']:>10}" + "".join(_cell(entry.get(key)) for key in SHOWN[kind])


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Adds an entry to the log file."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(entry)) + "\n")


def mend(path: Path) -> None:
    """Takes the last line away where a full disk cut it; its step is done again."""
    if path.exists():
        written = path.read_bytes()
        os.truncate(path, written.rfind(b"\n") + 1)


def read(path: Path) -> list[dict[str, Any]]:
    """The entries of a log file, in the order of their steps.

    Of several entries of the same kind to one step the last counts: a training that goes on from
    a checkpoint does some steps again.
    """
    if not path.exists():
        return []
    return list(_latest(json.loads(text) for text in path.read_text().splitlines() if text))


def _latest(entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    kept: dict[tuple[int, int], dict[str, Any]] = {}
    for entry in entries:
        is_evaluation = any(key.startswith("eval_") for key in entry)
        kept[entry["step"], 0 if "loss" in entry else 1 if is_evaluation else 2] = entry
    yield from (kept[key] for key in sorted(kept))


def _cell(value: float | None) -> str:
    if value is None:
        return f"{'-':>{_WIDTH}}"
    if value and abs(value) < 1e-3:
        return f"{value:>{_WIDTH}.1e}"
    return f"{value:>{_WIDTH},.0f}" if abs(value) >= 1000 else f"{value:>{_WIDTH}.3f}"
