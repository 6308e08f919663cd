"""How every chart looks, and how it becomes a file."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes

COLOUR = "#3b6ea8"
ACCENT = "#c8553d"
COLOURS = (COLOUR, ACCENT, "#5b8c5a", "#8a6fb0")
"""For several lines in one chart."""


@contextmanager
def chart(path: Path, *, width: float = 7.0, height: float = 4.0) -> Iterator[Axes]:
    """An empty chart that is written when the block ends.

    Args:
        path: PNG file to write.
        width: In inches, at 144 dots each.
        height: The same.

    Yields:
        Where to draw.

    Notes:
        Drawn with Agg, no display needed. The file names no software: the same numbers give the
        same bytes.

    Source:
        Ours.
    """
    with charts(path, 1, width=width, height=height) as (axes,):
        yield axes


@contextmanager
def charts(
    path: Path, num: int, *, width: float, height: float, per_row: int | None = None
) -> Iterator[list[Axes]]:
    """Several charts in one file, as `chart` does one.

    Args:
        path: PNG file to write.
        num: Number of charts.
        width: Of the file, in inches.
        height: The same.
        per_row: Charts beside each other; without it all of them.

    Yields:
        Where to draw each, row by row.

    Source:
        Ours.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    columns = per_row or num
    rows = -(-num // columns)
    drawn = [figure.add_subplot(rows, columns, place) for place in range(1, num + 1)]
    for axes in drawn:
        axes.spines[["top", "right"]].set_visible(False)
    yield drawn
    figure.savefig(path, metadata={"Software": None})
