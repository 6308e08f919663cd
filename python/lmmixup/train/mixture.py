"""The samples of a MIXTURE folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from lmmixup.contract import TASK_TYPES, MixRecord, Pair, messages, parse, render
from lmmixup.errors import DataError, FileError
from lmmixup.stage import InputFile, file_sha256
from lmmixup.train.rows import Kept, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lmmixup.stage import Reject
    from lmmixup.train.config import TrainConfig

PARTS = {"sft": "cold_start", "grpo": "rl"}
"""Part of the folder by kind of training."""

VALIDATION = "validation"

_COLUMNS = ("id", "task_type", "prompt", "completion", "cot", "sources")


class MixtureOptions(BaseModel):
    """How a MIXTURE folder was read: there is only one way."""

    part: str


@dataclass(frozen=True)
class Sample:
    """One sample.

    Attributes:
        id: Its id.
        record: What the mixer is asked.
        target: The whole output that it should write, tags included.
    """

    id: str
    record: MixRecord
    target: str


class MixtureFolder:
    """One part of a MIXTURE folder.

    Args:
        path: The folder, or one of its Parquet files.
        kind: `sft` takes `cold_start.parquet`, `grpo` takes `rl.parquet`.

    Raises:
        FileError: There is no such folder or file.
        DataError: The file lacks a column or has no samples.
    """

    def __init__(self, path: str | Path, kind: str) -> None:
        self.path = Path(path)
        self.kind = kind
        self.options = MixtureOptions(part=PARTS[kind])
        self.rejects: Iterable[Reject] = ()
        self.file = self._find(PARTS[kind])
        self._samples: list[Sample] | None = None

    def inputs(self) -> Sequence[InputFile]:
        """The file with its digest."""
        return [InputFile(str(self.file), file_sha256(self.file), self.file.stat().st_size)]

    def samples(self, limit: int | None = None) -> list[Sample]:
        """The samples in the order of the file.

        Args:
            limit: The first ones only.

        Raises:
            DataError: A sample is broken, or its prompt is not that of this contract.
        """
        if self._samples is None:
            self._samples = list(_read(self.file))
        return self._samples[:limit]

    @property
    def num_samples(self) -> int:
        """Number of samples, those included that a training leaves out."""
        return len(self.samples())

    def kept(self, tokenizer: Any, config: TrainConfig) -> Kept:
        """The rows to train on.

        Args:
            tokenizer: One of transformers.
            config: Limits.

        Raises:
            DataError: As `samples`; a sample is too long and to be refused, or none is left.
        """
        return rows_of(self.samples(config.limit), tokenizer, config)

    def validation(self, tokenizer: Any, config: TrainConfig) -> Kept:
        """The rows to evaluate on.

        Raises:
            FileError: The folder has none.
            DataError: As `kept`.
        """
        return rows_of(_read(self._find(VALIDATION)), tokenizer, config)

    def _find(self, part: str) -> Path:
        if self.path.is_file() and part != VALIDATION:
            return self.path
        folder = self.path.parent if self.path.is_file() else self.path
        file = folder / f"{part}.parquet"
        if not file.is_file():
            raise FileError(
                f"{file}: not found; expected a MIXTURE folder with cold_start.parquet, rl.parquet "
                "and validation.parquet; hint: `lmmixup mixture` makes one"
            )
        return file


def open_mixture(path: str | Path, kind: str) -> MixtureFolder:
    """Opens the part of a MIXTURE folder that a training needs.

    Args:
        path: The folder, or one of its Parquet files.
        kind: `sft` or `grpo`.

    Raises:
        FileError: There is no such file.
    """
    return MixtureFolder(path, kind)


def _read(file: Path) -> Iterator[Sample]:
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise FileError(f"{file}: expected Parquet: {error}") from None
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise DataError(
            f"{file}: expected columns {', '.join(_COLUMNS)}, got none named {missing[0]!r}; hint: "
            "`lmmixup mixture` makes such a file"
        )
    if not table.num_rows:
        raise DataError(f"{file}: has no samples")
    for row, values in enumerate(table.select(list(_COLUMNS)).to_pylist(), 1):
        yield _sample(values, f"{file}:{row}")


def _sample(values: dict[str, Any], where: str) -> Sample:
    if values["task_type"] not in TASK_TYPES:
        raise DataError(
            f"{where}: expected a task type of {', '.join(TASK_TYPES)}, got {values['task_type']!r}"
        )
    if not values["sources"] or not values["completion"]:
        what = "completion" if values["sources"] else "sources"
        raise DataError(f"{where}: expected {what}, got {values[what]!r}")
    pairs = [
        Pair(prompt=source["prompt"] or "", completion=source["completion"] or "")
        for source in values["sources"]
    ]
    record = MixRecord(task_type=values["task_type"], records=pairs)
    if values["prompt"] != messages(record)[-1]["content"]:
        raise DataError(
            f"{where}: the prompt of {values['id']!r} is not the one that the contract makes of "
            "its sources: the folder was made by another version; hint: make it anew with "
            "`lmmixup mixture`"
        )
    target = render(values["cot"] or "", values["completion"])
    if parse(target) is None:
        raise DataError(f"{where}: the target of {values['id']!r} has tags of its own")
    return Sample(str(values["id"]), record, target)
