"""The picture of a dedup: how large the families are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.drawing import COLOUR, chart

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


def draw_sizes(sizes: npt.NDArray[np.int64], path: Path) -> None:
    """Draws how many records are in families of each size.

    Args:
        sizes: (F,) sizes of the families, 1 and up.
        path: PNG file to write.

    Source:
        Ours.
    """
    largest = int(sizes.max(initial=1))
    edges = (
        np.unique(np.geomspace(1, largest + 1, 24).round())
        if largest > 24
        else np.arange(1, largest + 2)
    )
    with chart(path) as axes:
        axes.hist(sizes, bins=[float(edge) - 0.5 for edge in edges], weights=sizes, color=COLOUR)
        axes.set_yscale("symlog", linthresh=1)
        if largest > 24:
            axes.set_xscale("log")
        axes.set_title(f"{int(sizes.sum()):,} records, {len(sizes):,} families", loc="left")
        axes.set_xlabel("records in the family")
        axes.set_ylabel("records in families of that size")
