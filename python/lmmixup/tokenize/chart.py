"""How long records are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.cluster.charts import ACCENT, COLOUR

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


def draw_lengths(
    tokens: npt.NDArray[np.uint32],
    records: npt.NDArray[np.uint64],
    max_tokens: int,
    folder: Path,
) -> None:
    """Draws `lengths.png`.

    Args:
        tokens: (L,) lengths before they are cut, ascending.
        records: (L,) how many records have each.
        max_tokens: Where they are cut.
        folder: Where the file goes.

    Notes:
        Drawn with Agg; the bytes depend on the numbers only.

    Source:
        Ours.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(7, 4), dpi=144, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    first, last = (float(tokens[0]), float(tokens[-1])) if len(tokens) else (1.0, 1.0)
    edges = np.geomspace(first, max(last, max_tokens) + 1, 61)
    axes.hist(tokens, bins=edges.tolist(), weights=records.astype(np.float64), color=COLOUR)
    axes.axvline(max_tokens, color=ACCENT, label=f"limit {max_tokens:,}")
    axes.set_xscale("log")
    axes.legend(frameon=False)
    axes.set_title(f"Tokens of {int(records.sum()):,} records", loc="left")
    axes.set_xlabel("tokens, template included")
    axes.set_ylabel("records")
    figure.savefig(folder / "lengths.png", metadata={"Software": None})
