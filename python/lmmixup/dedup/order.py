"""The stated order in which the records of a family are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmmixup.ratings import check_rating

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from lmmixup.dedup.config import DedupConfig


class Order:
    """Looks at batches on their way past and then ranks the records.

    Args:
        config: Names the rating column and the preferred sources.
        schema: The pool's columns.

    Raises:
        ArgumentError: The rating column is not there or has no numbers.
    """

    def __init__(self, config: DedupConfig, schema: pa.Schema) -> None:
        self._config = config
        self._ratings: list[npt.NDArray[np.float64]] = []
        self._places: list[npt.NDArray[np.int64]] = []
        if config.rating is not None:
            check_rating(config.rating, schema)

    @property
    def columns(self) -> list[str]:
        """Columns of the pool that the order needs beside the texts."""
        own = [] if self._config.rating is None else [self._config.rating]
        return [*own, *(["source"] if self._config.prefer_source else [])]

    def watch(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Passes batches on and remembers what the order needs."""
        for batch in batches:
            if self._config.rating is not None:
                rating = pc.cast(batch.column(self._config.rating), pa.float64())
                rating = pc.fill_null(rating, float("-inf")).to_numpy(zero_copy_only=False)
                self._ratings.append(
                    np.nan_to_num(rating, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
                )
            if self._config.prefer_source:
                place = pc.index_in(batch.column("source"), pa.array(self._config.prefer_source))
                last = len(self._config.prefer_source)
                filled = pc.fill_null(place, last).to_numpy(zero_copy_only=False)
                self._places.append(filled.astype(np.int64))
            yield batch

    def priority(self) -> npt.NDArray[np.int64] | None:
        """Rank of every record that was seen, lower first; `None` where all are equal."""
        if not self.columns:
            return None
        priority = np.zeros(sum(map(len, self._ratings or self._places)), np.int64)
        if self._ratings:
            _, dense = np.unique(-np.concatenate(self._ratings), return_inverse=True)
            priority = dense.astype(np.int64)
        if self._places:
            priority = priority * (len(self._config.prefer_source) + 1)
            priority = priority + np.concatenate(self._places)
        return priority
