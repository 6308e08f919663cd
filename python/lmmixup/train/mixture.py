"""The samples of a MIXTURE folder, as token ids and columns for a trainer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from lmmixup.contract import TASK_TYPES, MixRecord, Pair, messages, parse, prompt_ids, render
from lmmixup.errors import DataError, FileError
from lmmixup.stage import InputFile, file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lmmixup.stage import Reject
    from lmmixup.train.config import GrpoConfig, SftConfig

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


@dataclass
class Kept:
    """What a training uses of some samples.

    Attributes:
        rows: One row a sample, columns for the trainer.
        ids: Their ids.
        dropped: Id and why, of those above the limits.
        longest: Tokens of the longest row; in GRPO of the longest prompt.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    longest: int = 0

    def add(self, sample: Sample, columns: dict[str, Any], num_tokens: int) -> None:
        """Takes a sample."""
        self.rows.append({**columns, "row": len(self.rows)})
        self.ids.append(sample.id)
        self.longest = max(self.longest, num_tokens)

    def drop(self, sample: Sample, num_tokens: int, limit: int) -> None:
        """Leaves a sample out."""
        self.dropped.append((sample.id, f"{num_tokens:,} tokens, at most {limit:,}"))


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

    def validation(self) -> list[Sample]:
        """The validation samples.

        Raises:
            FileError: The folder has none.
        """
        return list(_read(self._find(VALIDATION)))

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


def sft_rows(samples: Iterable[Sample], tokenizer: Any, config: SftConfig) -> Kept:
    """Token ids of prompt and target; labels are -100 over the prompt.

    Args:
        samples: What to train on.
        tokenizer: One of transformers.
        config: `max_tokens`.

    Returns:
        Rows with `input_ids`, `labels` and `row`, which counts them. A target ends with the
        tokenizer's end-of-sequence token.

    Raises:
        DataError: One is above the limit and `config.too_long` is `refuse`, or none is left.

    Notes:
        The prompt's ids are `contract.prompt_ids`. The target is tokenised apart from it, as it
        is when a model writes it.
    """
    kept = Kept()
    for sample in samples:
        prompt = prompt_ids(sample.record, tokenizer)
        target = tokenizer(sample.target, add_special_tokens=False)["input_ids"]
        ids = [*prompt, *target, tokenizer.eos_token_id]
        if len(ids) > config.max_tokens:
            kept.drop(sample, len(ids), config.max_tokens)
        else:
            labels = [-100] * len(prompt) + ids[len(prompt) :]
            kept.add(sample, {"input_ids": ids, "labels": labels}, len(ids))
    return _checked(kept, config.too_long, "max_tokens")


def grpo_rows(samples: Iterable[Sample], tokenizer: Any, config: GrpoConfig) -> Kept:
    """Prompts as messages, with what the rewards need.

    Args:
        samples: What to train on.
        tokenizer: One of transformers.
        config: `max_prompt_tokens`, `reference_column`.

    Returns:
        Rows with `prompt`, `task_type`, the reference and `row`, which counts them.

    Raises:
        DataError: One is above the limit and `config.too_long` is `refuse`, or none is left.
    """
    kept = Kept()
    for sample in samples:
        num_tokens = len(prompt_ids(sample.record, tokenizer))
        if num_tokens > config.max_prompt_tokens:
            kept.drop(sample, num_tokens, config.max_prompt_tokens)
            continue
        columns = {
            "prompt": messages(sample.record),
            "task_type": sample.record["task_type"],
            config.reference_column: sample.target,
        }
        kept.add(sample, columns, num_tokens)
    return _checked(kept, config.too_long, "max_prompt_tokens")


def _checked(kept: Kept, too_long: str, limit: str) -> Kept:
    if kept.dropped and too_long == "refuse":
        first, why = kept.dropped[0]
        raise DataError(
            f"{len(kept.dropped):,} samples are above {limit}, the first is {first!r} ({why}); "
            f"hint: raise it, or leave them out with --too-long drop"
        )
    if not kept.rows:
        why = f": all {len(kept.dropped):,} are above {limit}" if kept.dropped else ""
        raise DataError(f"no sample is left to train on{why}; hint: look at {limit}")
    return kept


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
