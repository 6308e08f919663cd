"""From the rows of a clustered pool to what a mixer is given at a time."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lmmixup.contract import TASK_TYPES, messages
from lmmixup.distill.part import Part, Source
from lmmixup.errors import ArgumentError, DataError
from lmmixup.llm.request import BYTES_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmmixup.distill.config import DistillConfig
    from lmmixup.distill.cutting import Cutting
    from lmmixup.distill.fates import Fates
    from lmmixup.pool import Pool

COLUMNS = ("id", "source", "prompt", "completion", "task_type", "cluster")
"""What is read of a pool."""

LICENSES = ("license", "licence")
"""Columns with a record's license; the first that the pool has is read."""

EMPTY = "empty"
TOO_LONG = "prompt-too-long"
BEYOND_LIMIT = "beyond-limit"

FRAME_BYTES = 110
"""What `contract.messages` puts around a record at most: marks, labels, newlines."""

ROWS_AT_A_TIME = 1024
"""Rows that are Python's objects at a time, before they are a part of a cluster."""

MOST_BITS = 1 << 27
"""Clusters whose numbers take a bit each: 16 MB of them."""

ALONE = "no-near-record"
"""Why a record stays out of groups of near records."""


class Parts:
    """The parts of a clustered pool, in its order.

    Args:
        pool: Records with a column `cluster`, cluster by cluster.
        config: Limits.
        fates: Where records go that no mixer is given.
        cutting: What counts a prompt's tokens, and what groups records; a record that is left alone
            by it is left over.
        num_threads: Threads that read; 0 takes all.

    Attributes:
        num_clusters: Clusters that were read so far, those beyond the limit left out.
        num_split: How many of them were split.
        num_refused: How many of them were refused.

    Raises:
        ArgumentError: The pool has no whole numbers in a column `cluster`.

    Notes:
        Holds a batch and one cluster.
    """

    def __init__(
        self,
        pool: Pool,
        config: DistillConfig,
        fates: Fates,
        *,
        cutting: Cutting | None = None,
        num_threads: int = 0,
    ) -> None:
        check_clustered(pool)
        names = pool.schema.names
        self._license = [
            name
            for name in LICENSES
            if name in names and pa.types.is_string(pool.schema.field(name).type)
        ][:1]
        self._pool = pool
        self._config = config
        self._fates = fates
        self._sizing = cutting.sizing if cutting else None
        self._grouping = cutting.grouping if cutting else None
        self._num_threads = num_threads
        self.num_clusters = self.num_split = self.num_refused = 0

    def __iter__(self) -> Iterator[Part]:
        """Reads on as parts are asked for.

        Raises:
            DataError: A record has no cluster, or a cluster is in two places.
        """
        visited = _Visited()
        limit = self._config.limit
        for cluster, rows in groupby(self._rows(), key=lambda row: row[0]):
            if not visited.add(cluster):
                raise DataError(f"cluster {cluster} is in two places; sort the pool by cluster")
            sources = [source for _, source in rows]
            if limit is not None and self.num_clusters == limit:
                self._leave(sources, BEYOND_LIMIT)
                continue
            self.num_clusters += 1
            yield from self._parts(cluster, sources)

    def _rows(self) -> Iterator[tuple[int, Source]]:
        names = [*COLUMNS, *self._license]
        for batch in self._pool.batches(names, num_threads=self._num_threads):
            # Arrow would keep what decoding took, beside all that waits for answers.
            pa.default_memory_pool().release_unused()
            for start in range(0, batch.num_rows, ROWS_AT_A_TIME):
                yield from self._rows_of(batch.slice(start, ROWS_AT_A_TIME))

    def _rows_of(self, batch: pa.RecordBatch) -> Iterator[tuple[int, Source]]:
        start = len(self._fates)
        self._fates.expect(batch.num_rows)
        columns = [column.to_pylist() for column in batch.columns]
        for row, values in enumerate(zip(*columns, strict=True), start):
            record_id, source, prompt, completion, task_type, cluster, *license_ = values
            if cluster is None:
                raise DataError(f"record {record_id!r} has no cluster; leave it out")
            texts = prompt or "", completion or ""
            yield cluster, Source(row, record_id, source, *texts, task_type, *license_)

    def _parts(self, cluster: int, sources: list[Source]) -> Iterator[Part]:
        full: list[Source] = []
        for source in sources:
            if source.prompt.strip() or source.completion.strip():
                full.append(source)
            else:
                self._fates.leave(source.row, EMPTY)
        number = 0
        for group in self._grouped(full):
            fitting, too_long = self._fitting(group)
            if (too_long or len(fitting) > 1) and self._config.too_long == "refuse":
                self.num_refused += 1
                self._leave(group, TOO_LONG)
                continue
            self._leave(too_long, TOO_LONG)
            self.num_split += len(fitting) > 1
            for sources_of_one in fitting:
                if self._grouping and len(sources_of_one) == 1:
                    self._leave(sources_of_one, ALONE)
                    continue
                yield Part(cluster, number, tuple(sources_of_one))
                number += 1

    def _grouped(self, sources: list[Source]) -> list[list[Source]]:
        if self._grouping is None or not sources:
            return [sources]
        groups = self._grouping(sources)
        for group in groups:
            if len(group) == 1:
                self._leave(group, ALONE)
        return [group for group in groups if len(group) > 1]

    def _fitting(self, sources: Sequence[Source]) -> tuple[list[list[Source]], list[Source]]:
        """Groups that fit a prompt, in order, and the records that do not fit by themselves."""
        fits = self._fits_bytes if self._sizing is None else self._fits_tokens
        if sources and fits(sources):
            return [list(sources)], []
        groups: list[list[Source]] = []
        too_long: list[Source] = []
        for source in sources:
            if groups and fits([*groups[-1], source]):
                groups[-1].append(source)
            elif fits([source]):
                groups.append([source])
            else:
                too_long.append(source)
        return groups, too_long

    def _fits_bytes(self, sources: Sequence[Source]) -> bool:
        room = self._config.max_prompt_tokens * BYTES_PER_TOKEN - CONTRACT_BYTES
        return sum(map(_num_bytes, sources)) <= room

    def _fits_tokens(self, sources: Sequence[Source]) -> bool:
        if self._sizing is None:
            raise RuntimeError("nothing counts tokens")
        return self._sizing(Part(0, 0, tuple(sources))) <= self._config.max_prompt_tokens

    def _leave(self, sources: Sequence[Source], reason: str) -> None:
        for source in sources:
            self._fates.leave(source.row, reason)


def _num_bytes(source: Source) -> int:
    """What a record takes of a prompt, at most."""
    text = source.prompt + source.completion
    return (len(text) if text.isascii() else len(text.encode())) + FRAME_BYTES


def check_clustered(pool: Pool) -> None:
    """Raises `ArgumentError` where a pool has no whole numbers in a column `cluster`."""
    names = pool.schema.names
    if "cluster" not in names or not pa.types.is_integer(pool.schema.field("cluster").type):
        raise ArgumentError(
            "expected a column 'cluster' with whole numbers, got a pool with "
            f"{', '.join(names)}; run `lmmixup cluster` first and name its folder"
        )


def count_clusters(pool: Pool, limit: int | None, num_threads: int) -> int:
    """How many clusters there are to read; looks at the column `cluster` only."""
    number = 0
    last = None
    for batch in pool.batches(["cluster"], num_threads=num_threads):
        clusters = batch.column("cluster").fill_null(-1).to_numpy(zero_copy_only=False)
        number += int(clusters[0] != last) + int(np.count_nonzero(np.diff(clusters)))
        last = clusters[-1]
    return number if limit is None else min(number, limit)


class _Visited:
    """Numbers of clusters, a bit each where they count from 0 on."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._others: set[int] = set()

    def add(self, number: int) -> bool:
        """Takes a number; says whether it is new."""
        if not 0 <= number < MOST_BITS:
            is_new = number not in self._others
            self._others.add(number)
            return is_new
        place, bit = divmod(number, 8)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        is_new = not self._bits[place] >> bit & 1
        self._bits[place] |= 1 << bit
        return is_new


CONTRACT_BYTES = max(
    sum(len(turn["content"].encode()) for turn in messages({"task_type": kind, "records": []}))
    for kind in TASK_TYPES
)
"""What the contract takes of a prompt, at most."""
