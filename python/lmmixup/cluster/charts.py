"""Two charts of a clustering: how large clusters are, and how alike their records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.drawing import ACCENT, COLOUR, chart

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from lmmixup.cluster.vectors import Clusters


def draw_charts(clusters: Clusters, folder: Path) -> None:
    """Draws `sizes.png` and `similarity.png`.

    Args:
        clusters: What to draw; may be empty.
        folder: Where the files go.

    Source:
        Ours.
    """
    for name, draw in (("sizes.png", _draw_sizes), ("similarity.png", _draw_similarity)):
        with chart(folder / name) as axes:
            draw(axes, clusters)


def _draw_sizes(axes: Axes, clusters: Clusters) -> None:
    counts = np.bincount(clusters.sizes) if len(clusters.sizes) else np.zeros(1, np.int64)
    sizes = np.flatnonzero(counts)
    bars = axes.bar(sizes, counts[sizes], color=COLOUR)
    if 0 < len(sizes) <= 12:
        axes.bar_label(bars, labels=[f"{count:,}" for count in counts[sizes]], padding=2)
        axes.set_xticks(sizes)
    records = int(clusters.sizes.sum())
    axes.set_title(f"{records:,} records in {len(clusters.sizes):,} clusters", loc="left")
    axes.set_xlabel("records in the cluster")
    axes.set_ylabel("clusters")


def _draw_similarity(axes: Axes, clusters: Clusters) -> None:
    similarity = clusters.similarity[np.isfinite(clusters.similarity)]
    axes.hist(
        similarity, bins=np.linspace(min(0.0, _least(similarity)), 1, 51).tolist(), color=COLOUR
    )
    if len(similarity):
        for value, style, label in (
            (float(similarity.mean()), "-", "mean"),
            (float(np.quantile(similarity, 0.1)), "--", "10th percentile"),
        ):
            axes.axvline(value, color=ACCENT, linestyle=style, label=f"{label} {value:.3f}")
        axes.legend(frameon=False, loc="upper left")
    axes.set_title("How near records are to their cluster's centroid", loc="left")
    axes.set_xlabel("cosine to the centroid")
    axes.set_ylabel("records")


def _least(similarity: np.ndarray) -> float:
    return float(similarity.min()) if len(similarity) else 0.0
