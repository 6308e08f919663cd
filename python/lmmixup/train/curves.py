"""The curves of a training as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmmixup.drawing import COLOURS, charts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

PANELS: dict[str, dict[str, dict[str, str]]] = {
    "sft": {
        "loss": {"loss": "train", "eval_loss": "validation"},
        "accuracy of the next token": {"mean_token_accuracy": "train"},
        "gradient norm": {"grad_norm": ""},
        "learning rate": {"learning_rate": ""},
    },
    "grpo": {
        "reward": {"reward": "train", "eval_reward": "validation"},
        "rewards": {
            "reward/quality": "quality",
            "reward/alignment": "alignment",
            "reward/format": "format",
        },
        "groups with one reward": {"frac_reward_zero_std": ""},
        "tokens of an output": {"completions/mean_length": ""},
        "KL to the first model": {"kl": ""},
        "entropy": {"entropy": ""},
        "ratios clipped": {"clip_ratio/region_mean": ""},
        "gradient norm": {"grad_norm": ""},
    },
}
"""Panels by kind of training: title, then key of the log and label of each line."""


def draw_curves(kind: str, entries: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws `curves.png`.

    Args:
        kind: `sft` or `grpo`.
        entries: Entries of the log; a panel without any is left empty.
        path: File to write.

    Source:
        Ours.
    """
    panels = PANELS[kind]
    height = 2.6 * len(panels) / 2
    with charts(path, len(panels), width=10, height=height, per_row=2) as drawn:
        for axes, (title, lines) in zip(drawn, panels.items(), strict=True):
            _draw(axes, title, lines, entries)


def _draw(
    axes: Axes, title: str, lines: Mapping[str, str], entries: Sequence[Mapping[str, Any]]
) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    has_label = False
    for colour, (key, label) in zip(COLOURS, lines.items(), strict=False):
        points = [(entry["step"], entry[key]) for entry in entries if key in entry]
        if points:
            steps, values = zip(*points, strict=True)
            marker = "." if len(points) < 50 else ""
            axes.plot(steps, values, color=colour, label=label, marker=marker, linewidth=1.2)
            has_label = has_label or bool(label)
    if has_label:
        axes.legend(frameon=False, fontsize=8)
