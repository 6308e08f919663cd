"""Ratings and nearness of records by a library, for the mixer that merges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lmmixup.library import open_libraries
from lmmixup.library.store import library_texts, text_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lmmixup.contract import Pair

LARGEST_GROUP = 5
"""Records that MergeIT merges at a time."""


class Rater:
    """Rates records by KNN-Bayes, and puts near ones into groups.

    Args:
        path: A library, or a folder with one for each task type.

    Raises:
        FileError: There is no library.
    """

    def __init__(self, path: Path) -> None:
        self._libraries = open_libraries(path)

    def digests(self) -> dict[str, str]:
        """Digest of each library's manifest, by task type."""
        return {name: library.digest() for name, library in self._libraries}

    def rate(self, pairs: Sequence[Pair], task_type: str | None) -> NDArray[np.float64] | None:
        """Expected ratings, 0..5.

        Args:
            pairs: N records.
            task_type: Names the library.

        Returns:
            (N,); `None` where no library rates this task type.
        """
        library = self._libraries.get(task_type)
        if library is None:
            return None
        records = _table(pairs)
        vectors_ND = library.embedder.embed(library_texts(records, library.config))
        num_bytes_N2 = text_bytes(records, library.config)
        return library.score(vectors_ND, num_bytes_N2, num_threads=1).expected_Q

    def groups(
        self, pairs: Sequence[Pair], task_type: str | None, min_similarity: float
    ) -> list[list[int]]:
        """Greedy groups of near records.

        Args:
            pairs: N records.
            task_type: Names the library whose embedder makes the vectors.
            min_similarity: Cosine to the first record of a group that the others are above.

        Returns:
            Places of the records of each group, every place in one; groups have up to five, the
            nearest to the first one. A record without a near one is alone.

        Source:
            MergeIT (arXiv 2503.00034).
        """
        library = self._libraries.get(task_type)
        if library is None:
            return [[place] for place in range(len(pairs))]
        vectors_ND = library.embedder.embed(library_texts(_table(pairs), library.config))
        free = np.ones(len(pairs), np.bool_)
        groups: list[list[int]] = []
        for first in range(len(pairs)):
            if not free[first]:
                continue
            free[first] = False
            cosine_N = vectors_ND @ vectors_ND[first]
            near = np.flatnonzero(free & (cosine_N > min_similarity))
            nearest = near[np.argsort(-cosine_N[near], kind="stable")][: LARGEST_GROUP - 1]
            free[nearest] = False
            groups.append([first, *sorted(nearest.tolist())])
        return groups


def _table(pairs: Sequence[Pair]) -> pa.Table:
    return pa.table(
        {
            "prompt": pa.array([pair["prompt"] for pair in pairs], pa.string()),
            "completion": pa.array([pair["completion"] for pair in pairs], pa.string()),
        }
    )
