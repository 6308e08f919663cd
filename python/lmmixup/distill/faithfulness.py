"""What a made record keeps of each source, and what it says that none of them does."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lmmixup import ops
from lmmixup.ops.faithfulness import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmmixup.distill.mixer import Made

_CHOICE = re.compile(r"^[ \t]*[A-D]\).*$", re.M)


@dataclass(frozen=True)
class Unfounded:
    """Something that a made record says and none of its sources does.

    Attributes:
        kind: `number`, `name` or `negation`.
        text: As it stands in the record.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class Faithfulness:
    """How a made record stands to its sources.

    Attributes:
        coverage: For each source, the share of its content that the record has, 0..1; 1 for a
            source without content.
        unfounded: What is found in none of them; a record with any is flagged.
    """

    coverage: tuple[float, ...]
    unfounded: tuple[Unfounded, ...]


class Tally:
    """What a run's records keep, and how many of them are flagged."""

    def __init__(self) -> None:
        self._num_records = self._num_sources = 0
        self._coverage = 0.0
        self._num_by_kind: Counter[str] = Counter()
        self._num_flagged = 0

    def add(self, coverage: NDArray[np.float64], seen: ops.Faithfulness) -> None:
        """Counts records.

        Args:
            coverage: Of the sources that went in.
            seen: What the check says of them.
        """
        self._num_records += len(seen.indptr) - 1
        self._num_sources += len(coverage)
        self._coverage += float(coverage.sum())
        self._num_flagged += int(np.count_nonzero(np.diff(seen.indptr)))
        of_record = np.repeat(np.arange(len(seen.indptr) - 1), np.diff(seen.indptr))
        for place, kind in enumerate(KINDS):
            self._num_by_kind[kind] += len(np.unique(of_record[seen.kinds == place]))

    def figures(self) -> dict[str, float | int | None]:
        """Mean coverage of a source, flagged records, and those with each kind of finding."""
        mean = round(self._coverage / self._num_sources, 6) if self._num_sources else None
        flagged = {f"flagged_{kind}": self._num_by_kind[kind] for kind in KINDS}
        return {"mean_coverage": mean, "flagged": self._num_flagged, **flagged}


def check(made: str, sources: Sequence[str]) -> Faithfulness:
    """Compares one made record with its sources; `ops.check_faithfulness` does so with many.

    Args:
        made: All that the record says.
        sources: All that each source says.

    Returns:
        Coverage of each source, and unfounded numbers, names and negations.

    Source:
        Ours; how well it does is in docs/decisions/0019-faithfulness.md.

    Example:
        >>> seen = check(
        ...     "Ada Lovelace wrote one thousand notes and never slept.",
        ...     ["Ada wrote 1,000 notes.", "She lived in London."],
        ... )
        >>> [(one.kind, one.text) for one in seen.unfounded]
        [('name', 'Lovelace'), ('negation', 'never slept')]
        >>> seen.coverage
        (1.0, 0.0)
    """
    seen = ops.check_faithfulness(
        pa.array([made], pa.string()),
        pa.array(sources, pa.string()),
        np.array([0, len(sources)]),
        num_threads=1,
    )
    kinds = [KINDS[kind] for kind in seen.kinds]
    return Faithfulness(tuple(seen.coverage.tolist()), tuple(map(Unfounded, kinds, seen.texts)))


def said(made: Made) -> str:
    """What a made record states: all of it, but for the choices of a multiple choice.

    Wrong choices are not in the sources, and should not be; the right one is the completion.
    """
    asked = _CHOICE.sub("", made.prompt) if made.task_type == "mcq" else made.prompt
    return f"{asked}\n{made.completion}"
