"""What became of every record of a pool that is distilled."""

from __future__ import annotations

from array import array
from collections import Counter


class Fates:
    """What became of every record: used, or left over for a reason."""

    def __init__(self) -> None:
        self._reasons = ["open", "used"]
        self._codes = array("H")

    def __len__(self) -> int:
        return len(self._codes)

    def expect(self, number: int) -> None:
        """Takes so many further records, whose outcome is open."""
        self._codes.extend([0] * number)

    def use(self, row: int) -> None:
        """The record went into a made one."""
        self._codes[row] = 1

    def leave(self, row: int, reason: str) -> None:
        """The record is left over."""
        if reason not in self._reasons:
            self._reasons.append(reason)
        self._codes[row] = self._reasons.index(reason)

    def reasons(self, start: int, number: int) -> list[str | None]:
        """Why records are left over; `None` where they are used."""
        codes = self._codes[start : start + number]
        if 0 in codes:
            raise RuntimeError(f"record {start + codes.index(0)} has no outcome")
        return [None if code == 1 else self._reasons[code] for code in codes]

    def counts(self) -> Counter[str]:
        """Number of records by reason, and of `used`."""
        return Counter({self._reasons[code]: n for code, n in Counter(self._codes).items()})
