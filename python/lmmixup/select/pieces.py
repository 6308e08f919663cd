"""Numbers of records, made and kept piece by piece, so that a killed run need not start anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from lmmixup.progress import Reporter


@dataclass(frozen=True)
class Pieces:
    """A folder of finished pieces.

    Attributes:
        work: The folder; made where there is none.
        size: Records of a piece.
        reporter: Where progress goes.

    Source:
        Ours.
    """

    work: Path
    size: int
    reporter: Reporter

    def of(
        self,
        what: str,
        make: Callable[[int, int], npt.NDArray[np.float64]],
        num_records: int,
        num_columns: int,
    ) -> npt.NDArray[np.float64]:
        """Numbers of all records; pieces that an earlier run has finished are not made again.

        Args:
            what: What is read, one word: the pieces are named by it.
            make: Gives the (stop - start, C) numbers of the records from start to stop.
            num_records: N.
            num_columns: C.

        Returns:
            (N, C) float64.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        found = [np.zeros((0, num_columns))]
        for start in range(0, num_records, self.size):
            stop = min(start + self.size, num_records)
            file = self.work / f"{what}-{start:09}.npy"
            if not file.exists():
                _save_whole(file, make(start, stop))
            found.append(np.load(file, allow_pickle=False))
            self.reporter(f"read {what}", stop, num_records)
        return np.concatenate(found)


def _save_whole(file: Path, numbers: npt.NDArray[np.float64]) -> None:
    partial = file.with_suffix(".partial")
    with partial.open("wb") as out:
        np.save(out, numbers)
    partial.replace(file)
