"""A picture of the transitions before and after curation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from lmmixup.curate.curation import Curation


def draw_transitions(curation: Curation, path: Path) -> None:
    """Draws both matrices as heat maps, a number in each cell.

    Args:
        curation: What to draw.
        path: PNG file to write.

    Notes:
        Drawn with Agg, no display needed; the bytes depend on the matrices only.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(11, 5), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    both = figure.subplots(1, 2)
    _draw(both[0], curation.before.matrix_CC, curation.values_C, "as observed")
    _draw(both[1], curation.after.matrix_CC, curation.values_C, "after curation")
    if not curation.clusterability.trusted:
        figure.suptitle("Neighbours agree too little: not to be trusted", color="#c8553d")
    figure.savefig(path, metadata={"Software": None})


def _draw(
    axes: Axes,
    matrix_CC: npt.NDArray[np.float64],
    values_C: npt.NDArray[np.float64],
    title: str,
) -> None:
    axes.imshow(matrix_CC, cmap="Blues", vmin=0, vmax=1)
    for row, line in enumerate(matrix_CC):
        for column, share in enumerate(line):
            colour = "white" if share > 0.55 else "black"
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", color=colour)
    names = [f"{value:g}" for value in values_C]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("rating that the judge gives")
    axes.set_ylabel("true rating")
    axes.set_title(title, loc="left")
