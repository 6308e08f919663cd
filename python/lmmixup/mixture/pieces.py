"""A finished part of a build, kept for a run that is started again."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmmixup.mixture.samples import EDITS_SCHEMA, SAMPLES_SCHEMA

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Tally:
    """What was made, and what was not.

    Attributes:
        made: Samples, by task type.
        refused: Passages without a record, by task type and reason.
        num_fused: Samples of two records.
        num_left_out: Variants that did not fit a prompt.
        num_too_long: Samples that did not fit a prompt at all.
    """

    made: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Counter[str]] = field(default_factory=dict)
    num_fused: int = 0
    num_left_out: int = 0
    num_too_long: int = 0


@dataclass
class Piece:
    """One part: its samples in their order, their edits, and the tally."""

    rows: list[dict[str, Any]]
    edits: list[dict[str, Any]]
    tally: Tally


def keep_piece(piece: Piece, folder: Path) -> None:
    """Writes a part; `load_piece` finds it whole or not at all.

    Args:
        piece: The part.
        folder: A folder of the part's own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(piece.rows, SAMPLES_SCHEMA), folder / "samples.parquet")
    pq.write_table(pa.Table.from_pylist(piece.edits, EDITS_SCHEMA), folder / "edits.parquet")
    unfinished = folder / "tally.unfinished"
    unfinished.write_text(json.dumps(vars(piece.tally)), encoding="utf-8")
    unfinished.rename(folder / "tally.json")


def load_piece(folder: Path) -> Piece | None:
    """The part that an earlier run kept in a folder, or `None`."""
    finished = folder / "tally.json"
    if not finished.exists():
        return None
    told = json.loads(finished.read_text(encoding="utf-8"))
    refused = {kind: Counter(reasons) for kind, reasons in told["refused"].items()}
    tally = Tally(**{**told, "made": Counter(told["made"]), "refused": refused})
    rows = pq.read_table(folder / "samples.parquet").to_pylist()
    return Piece(rows, pq.read_table(folder / "edits.parquet").to_pylist(), tally)
