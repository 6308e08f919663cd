"""What the processes of a training are told, as a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lmmixup.errors import FileError
from lmmixup.train.config import CONFIGS

if TYPE_CHECKING:
    from lmmixup.train.config import TrainConfig


FINAL = "final"
"""Folder, in the work of a run, of the trained model."""


@dataclass(frozen=True)
class Job:
    """A training that has passed all checks.

    Attributes:
        kind: `sft` or `grpo`.
        config: The resolved config.
        data: What `open_data` opens.
        model: Folder of the model to start from; unpacked where it was a .gguf file.
        work: Folder that survives a kill.
    """

    kind: str
    config: TrainConfig
    data: Path
    model: str
    work: Path

    @property
    def file(self) -> Path:
        """Where it is saved."""
        return self.work / "job.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.work / "checkpoints"

    @property
    def universal(self) -> Path:
        """Folder of a checkpoint that was made ready for another number of processes."""
        return self.work / "universal"

    @property
    def final(self) -> Path:
        """The trained model as the trainer saved it; there once it is whole."""
        return self.work / FINAL

    @property
    def errors(self) -> Path:
        """Folder with a file for each process that failed."""
        return self.work / "errors"

    @property
    def log(self) -> Path:
        """Log of the training, one JSON line an entry."""
        return self.work / "log.jsonl"

    def save(self) -> None:
        """Writes it to its file."""
        values = {
            "kind": self.kind,
            "config": self.config.model_dump(mode="json"),
            "data": str(self.data.absolute()),
            "model": self.model,
            "work": str(self.work.absolute()),
        }
        self.file.write_text(json.dumps(values, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            FileError: There is no such file.
        """
        try:
            values = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise FileError(f"{path}: expected a job of `lmmixup train`: {error}") from None
        config = CONFIGS[values["kind"]](**values["config"])
        return cls(
            values["kind"], config, Path(values["data"]), values["model"], Path(values["work"])
        )
