"""What a pool reads from, and what it asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    import pyarrow as pa

    from lmmixup import _rust
    from lmmixup._rust import PoolIds, PoolMapping
    from lmmixup.pool.layout import Original, Seen

RejectRow = tuple[int, str, str, str, str, str]
"""`(line or row, reason, expected, got, hint, raw)` as Rust gives it."""

ColumnRow = tuple[str, int, int]
"""`(name, kinds, count)` as Rust gives it."""


@dataclass(frozen=True)
class Request:
    """What a pass over a pool is to give.

    Attributes:
        canonical: Canonical columns, in their own order.
        originals: Original columns with the fields that hold them.
        source: Source of all records, or `None` for their own or the file's.
        num_threads: Threads that read; 0 takes all cores.
    """

    canonical: Sequence[str]
    originals: Sequence[tuple[Original, pa.Field]]
    source: str | None
    num_threads: int


class Store(Protocol):
    """What takes the texts of a pool in Rust: `_rust.ExactPool`, `_rust.TextPool`."""

    def push(self, batch: pa.RecordBatch, num_threads: int) -> None:
        """Takes a batch with `id`, `prompt` and `completion`."""

    def read(
        self, reader: _rust.PoolReader, on_progress: Callable[..., Any] | None = None
    ) -> list[RejectRow] | None:
        """Takes records of a file up to the next rejects; `None` at the end."""

    def __len__(self) -> int:
        """Number of records."""


class Source(Protocol):
    """One input of a pool."""

    name: str
    has_lines: bool
    label: str

    def head(self) -> list[ColumnRow]:
        """Columns by a look at the beginning, for detection."""

    def look(self, num_threads: int, on_progress: Callable[..., Any] | None) -> list[Seen]:
        """Columns by a look at every record."""

    def read(
        self,
        mapping: PoolMapping,
        ids: PoolIds,
        request: Request,
    ) -> Generator[tuple[pa.RecordBatch, list[RejectRow]]]:
        """Batches of the canonical columns, then of the originals, with their rejects."""

    def feed(
        self,
        store: Store,
        mapping: PoolMapping,
        ids: PoolIds,
        request: Request,
        on_progress: Callable[..., Any] | None,
    ) -> Generator[list[RejectRow]]:
        """Gives every record to a store; yields the rejects on the way."""
