"""A picture of the transitions before and after curation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmmixup.drawing import ACCENT, charts

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

    Source:
        Ours.
    """
    with charts(path, 2, width=11, height=5) as both:
        _draw(both[0], curation.before.matrix_CC, curation.values_C, "as observed")
        _draw(both[1], curation.after.matrix_CC, curation.values_C, "after curation")
        if not curation.clusterability.trusted:
            warning = "Neighbours agree too little: not to be trusted"
            both[0].figure.suptitle(warning, color=ACCENT)


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
