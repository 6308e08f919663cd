"""What a stage reads, as its manifest names it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import BaseModel


@dataclass(frozen=True)
class InputFile:
    """One file that a stage read.

    Attributes:
        path: Path as the user gave it.
        sha256: Digest of its bytes, 64 hex digits.
        num_bytes: Its size.
    """

    path: str
    sha256: str
    num_bytes: int


class Reject(Protocol):
    """What `rejects.jsonl` needs of a record that could not be read."""

    def to_dict(self) -> dict[str, Any]:
        """Keys `file`, `line` or `row`, `reason`, `message` and `raw` at least."""


class Input(Protocol):
    """What a stage needs to know of its pool for the manifest."""

    @property
    def options(self) -> BaseModel:
        """How the files were read; part of what makes two runs the same."""

    @property
    def rejects(self) -> Iterable[Reject]:
        """Records that could not be read, complete after a full pass."""

    def inputs(self) -> Sequence[InputFile]:
        """The files behind the pool, with digests."""


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes.

    Args:
        path: The file.

    Returns:
        64 hex digits.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
