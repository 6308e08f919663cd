"""Records that could not be used."""

from __future__ import annotations

import json
import tempfile
import weakref
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_MEMORY_BYTES = 8 << 20

REASONS = {
    "json": "is not valid JSON",
    "field": "lacks a field",
    "type": "has a field of another type",
    "utf8": "is not UTF-8",
    "long": "is longer than the limit",
    "id": "has an id that is missing or was there before",
    "csv": "is not a CSV record of the header's fields",
    "truncated": "is where a compressed file ends too early",
}
"""Every reason there is, as the end of a sentence."""


@dataclass(frozen=True)
class Reject:
    """One line or row that is no record, and why.

    Attributes:
        file: The file as the user named it.
        line: 1-based line; `None` where the format has rows.
        row: 1-based row; `None` where the format has lines.
        reason: One of `REASONS`.
        expected: What would have been right.
        got: What was there.
        hint: What to do about it; may be empty.
        raw: The raw text; its first 64 KiB where it is longer.
    """

    file: str
    line: int | None
    row: int | None
    reason: str
    expected: str
    got: str
    hint: str
    raw: str

    @property
    def message(self) -> str:
        """One line for people, such as `pool.jsonl:1047: expected …, got …; hint`."""
        place = f":{self.line}" if self.line is not None else f" row {self.row}"
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.file}{place}: expected {self.expected}, got {self.got}{hint}"

    def to_dict(self) -> dict[str, Any]:
        """The row of `rejects.jsonl`."""
        place = {"line": self.line} if self.line is not None else {"row": self.row}
        return {
            "file": self.file,
            **place,
            "reason": self.reason,
            "message": self.message,
            "expected": self.expected,
            "got": self.got,
            "hint": self.hint,
            "raw": self.raw,
        }


class RejectLog:
    """Rejects in the order of the pool; in a temporary file where they are many.

    Iterating, `len` and indexing work as on a list.
    """

    def __init__(self) -> None:
        self._recent: list[bytes] = []
        self._recent_bytes = 0
        self._file: IO[bytes] | None = None
        self._num = 0

    def append(self, reject: Reject) -> None:
        """Adds a reject at the end."""
        line = json.dumps(vars(reject)).encode() + b"\n"
        self._recent.append(line)
        self._recent_bytes += len(line)
        self._num += 1
        if self._recent_bytes > _IN_MEMORY_BYTES:
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="lmmixup-rejects-")  # noqa: SIM115
            weakref.finalize(self, self._file.close)
        self._file.seek(0, 2)
        self._file.writelines(self._recent)
        self._recent, self._recent_bytes = [], 0

    def __len__(self) -> int:
        return self._num

    def __iter__(self) -> Iterator[Reject]:
        position = 0
        while self._file is not None:
            # Another iterator or `append` may have moved the file's place meanwhile.
            self._file.seek(position)
            line = self._file.readline()
            if not line:
                break
            position = self._file.tell()
            yield Reject(**json.loads(line))
        for line in self._recent:
            yield Reject(**json.loads(line))

    def __getitem__(self, index: int) -> Reject:
        place = index + self._num if index < 0 else index
        for number, reject in enumerate(self):
            if number == place:
                return reject
        raise IndexError(index)

    def counts(self) -> dict[str, int]:
        """Number of rejects by reason."""
        numbers: dict[str, int] = {}
        for reject in self:
            numbers[reject.reason] = numbers.get(reject.reason, 0) + 1
        return numbers
