"""What becomes of a stage's input records: counts that add up, and the dropped ones' reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lmmixup.errors import CountsError

DROPPED_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("against", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
"""Columns of `dropped.parquet`: the record, a short reason to group by, the id of the record it
lost against where there is one, and a sentence for people."""


@dataclass
class Counts:
    """Outcomes of a stage's input records; they must sum to `input`.

    Attributes:
        input: Records that came in. A stage says how many it read; those that are rejected come
            on top when the run ends.
        kept: Records that went on as they are.
        used: Records that went into made ones.
        leftover: Records that the stage could not place, kept aside.
        dropped: Number by reason.
        rejected: Number by reason.
        made: New records; counted apart.
    """

    input: int = 0
    kept: int = 0
    used: int = 0
    leftover: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    made: int = 0

    def check(self) -> None:
        """Raises `CountsError` where the outcomes do not sum to the input."""
        dropped, rejected = sum(self.dropped.values()), sum(self.rejected.values())
        outcomes = self.kept + self.used + self.leftover + dropped + rejected
        if outcomes != self.input:
            raise CountsError(
                f"{self.input} records came in but {outcomes} have an outcome (kept {self.kept}, "
                f"used {self.used}, leftover {self.leftover}, dropped {dropped}, rejected "
                f"{rejected}); nothing was written: please report this"
            )

    def to_dict(self) -> dict[str, Any]:
        """The counts as they stand in the manifest."""
        return {
            **vars(self),
            "dropped": dict(sorted(self.dropped.items())),
            "rejected": dict(sorted(self.rejected.items())),
        }
