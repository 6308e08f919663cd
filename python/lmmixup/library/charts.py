"""Two charts of a library: how far its probabilities can be trusted, and what it confuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.drawing import ACCENT, COLOUR, chart

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from lmmixup.library.report import Report


def draw_report(report: Report, folder: Path) -> None:
    """Draws `reliability.png` and `confusion.png`.

    Args:
        report: What to draw.
        folder: Where the files go.

    Source:
        Ours.
    """
    for name, draw in (("reliability.png", _draw_reliability), ("confusion.png", _draw_confusion)):
        with chart(folder / name, width=5.2, height=4.8) as axes:
            draw(axes, report)


def _draw_reliability(axes: Axes, report: Report) -> None:
    _, probability, share = np.array(report.bins).T
    top = max(float(probability.max()), float(share.max()), 0.01) * 1.05
    axes.plot([0, top], [0, top], color=ACCENT, linewidth=1, label="perfect")
    axes.plot(probability, share, "o-", color=COLOUR, label="15 bins of equal mass")
    axes.set_title(f"P(rating ≥ 4), calibration error {report.ece:.3f}", loc="left")
    axes.set_xlabel("mean probability")
    axes.set_ylabel("share that the judge rates ≥ 4")
    axes.legend(frameon=False)


def _draw_confusion(axes: Axes, report: Report) -> None:
    counts = np.array(report.confusion, np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        dark = shares[row, column] > 0.5
        axes.text(
            column, row, f"{count:,.0f}", ha="center", va="center", color="w" if dark else "k"
        )
    axes.set_title(f"Ratings, quadratic weighted kappa {report.qwk:.3f}", loc="left")
    axes.set_xlabel("by the library")
    axes.set_ylabel("by the judge")
