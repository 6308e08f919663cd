"""The curves of a training as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

COLOURS = ("#3b6ea8", "#c8553d", "#5b8c5a", "#8a6fb0")

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

    Notes:
        Drawn with Agg, no display needed.

    Source:
        Ours.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    panels = PANELS[kind]
    num_rows = len(panels) // 2
    figure = Figure(figsize=(10, 2.6 * num_rows), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for at, (title, lines) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(num_rows, 2, at)
        _draw(axes, title, lines, entries)
    figure.savefig(path, metadata={"Software": None})


def _draw(
    axes: Axes, title: str, lines: Mapping[str, str], entries: Sequence[Mapping[str, Any]]
) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axes.spines[["top", "right"]].set_visible(False)
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
