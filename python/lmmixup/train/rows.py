"""Samples as rows for a trainer: token ids or messages, and what was too long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lmmixup.contract import messages, prompt_ids
from lmmixup.errors import DataError
from lmmixup.train.config import GrpoConfig, SftConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmmixup.train.config import TrainConfig
    from lmmixup.train.mixture import Sample


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

    def dataset(self) -> Any:
        """The rows as a data set of `datasets`."""
        from datasets import Dataset  # noqa: PLC0415

        return Dataset.from_list(self.rows)

    def drop(self, sample: Sample, num_tokens: int, limit: int) -> None:
        """Leaves a sample out."""
        self.dropped.append((sample.id, f"{num_tokens:,} tokens, at most {limit:,}"))


def rows_of(samples: Iterable[Sample], tokenizer: Any, config: TrainConfig) -> Kept:
    """The rows of either training."""
    if isinstance(config, GrpoConfig):
        return grpo_rows(samples, tokenizer, config)
    assert isinstance(config, SftConfig)  # noqa: S101
    return sft_rows(samples, tokenizer, config)


def sft_rows(samples: Iterable[Sample], tokenizer: Any, config: SftConfig) -> Kept:
    """Token ids of prompt and target; labels are -100 over the prompt.

    Args:
        samples: What to train on.
        tokenizer: One of transformers.
        config: `max_sequence_tokens`.

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
        if len(ids) > config.max_sequence_tokens:
            kept.drop(sample, len(ids), config.max_sequence_tokens)
        else:
            labels = [-100] * len(prompt) + ids[len(prompt) :]
            kept.add(sample, {"input_ids": ids, "labels": labels}, len(ids))
    return _checked(kept, config.too_long, "max_sequence_tokens")


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
