"""What a mixer is given at a time: some records of one cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lmmixup.contract import TASK_TYPES, MixRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNTYPED = "qa"
"""Form that a mixer is asked for where the records have no task type in common."""


class Source(NamedTuple):
    """One record of a cluster.

    Attributes:
        row: Its place in the pool, from 0.
        id: Its id.
        source: Where it is from, or `None`.
        prompt: Its prompt; may be empty.
        completion: Its completion; may be empty.
        task_type: One of `TASK_TYPES`, or `None`.
        license: Its license, or `None`.
    """

    row: int
    id: str
    source: str | None
    prompt: str
    completion: str
    task_type: str | None
    license: str | None = None

    @property
    def text(self) -> str:
        """All that it says."""
        return f"{self.prompt}\n{self.completion}"


@dataclass(frozen=True)
class Part:
    """What becomes one record: a cluster, or as much of it as fits.

    Attributes:
        cluster: Number of the cluster.
        part: Number of the part, from 0.
        sources: The records, nearest to the centroid first; at least one.
    """

    cluster: int
    part: int
    sources: tuple[Source, ...]

    @property
    def task_type(self) -> str | None:
        """The task type that all records have, or `None`."""
        kinds = {source.task_type for source in self.sources}
        kind = kinds.pop()
        return kind if not kinds and kind in TASK_TYPES else None

    def record(self) -> MixRecord:
        """The part as `contract.messages` takes it."""
        return {
            "task_type": self.task_type or UNTYPED,
            "records": [
                {"prompt": source.prompt, "completion": source.completion}
                for source in self.sources
            ],
        }


Sizing: TypeAlias = "Callable[[Part], int]"
"""Tokens of the prompt that a part makes."""

Grouping: TypeAlias = "Callable[[Sequence[Source]], list[list[Source]]]"
"""Groups of a cluster's records; each record is in one."""
