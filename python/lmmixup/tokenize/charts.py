"""How long records are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.drawing import ACCENT, COLOUR, chart

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


def draw_lengths(
    tokens: npt.NDArray[np.uint32],
    records: npt.NDArray[np.uint64],
    max_row_tokens: int,
    folder: Path,
) -> None:
    """Draws `lengths.png`.

    Args:
        tokens: (L,) lengths before they are cut, ascending.
        records: (L,) how many records have each.
        max_row_tokens: Where they are cut.
        folder: Where the file goes.

    Source:
        Ours.
    """
    first, last = (float(tokens[0]), float(tokens[-1])) if len(tokens) else (1.0, 1.0)
    edges = np.geomspace(first, max(last, max_row_tokens) + 1, 61)
    with chart(folder / "lengths.png") as axes:
        axes.hist(tokens, bins=edges.tolist(), weights=records.astype(np.float64), color=COLOUR)
        axes.axvline(max_row_tokens, color=ACCENT, label=f"limit {max_row_tokens:,}")
        axes.set_xscale("log")
        axes.legend(frameon=False)
        axes.set_title(f"Tokens of {int(records.sum()):,} records", loc="left")
        axes.set_xlabel("tokens, template included")
        axes.set_ylabel("records")
