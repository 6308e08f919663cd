"""What a stage leaves behind: a folder, and what its manifest says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class StageResult:
    """A finished result folder.

    Attributes:
        path: The folder.
        manifest: Content of its `manifest.json`.
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def counts(self) -> dict[str, Any]:
        """Outcomes of the input records."""
        return dict(self.manifest["counts"])

    @property
    def figures(self) -> dict[str, Any]:
        """The stage's own numbers."""
        return dict(self.manifest["figures"])

    @property
    def num_rejected(self) -> int:
        """Number of input records that could not be used."""
        return sum(self.manifest["counts"]["rejected"].values())


class InterruptedWhenDoneError(KeyboardInterrupt):
    """Ctrl-C came when the output was in place already: it is whole, and what follows stops.

    Args:
        result: The finished folder.
    """

    def __init__(self, result: StageResult) -> None:
        super().__init__(f"{result.path} was complete before")
        self.result = result
