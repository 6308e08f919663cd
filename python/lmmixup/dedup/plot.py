"""The picture of a dedup: how large the families are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


def plot_sizes(sizes: npt.NDArray[np.int64], path: Path) -> None:
    """Draws how many records are in families of each size.

    Args:
        sizes: (F,) sizes of the families, 1 and up.
        path: PNG file to write.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    largest = int(sizes.max(initial=1))
    edges = (
        np.unique(np.geomspace(1, largest + 1, 24).round())
        if largest > 24
        else np.arange(1, largest + 2)
    )
    axes.hist(sizes, bins=[float(edge) - 0.5 for edge in edges], weights=sizes, color="#3b6ea5")
    axes.set_yscale("symlog", linthresh=1)
    if largest > 24:
        axes.set_xscale("log")
    axes.set_xlabel("records in the family")
    axes.set_ylabel("records in families of that size")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"{int(sizes.sum()):,} records, {len(sizes):,} families", loc="left")
    # No software version in the file: the same figures give the same bytes.
    figure.savefig(path, dpi=120, metadata={"Software": None})
