"""The card of a trained model: what it is, from what, by which recipe, how it went."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lmmixup.contract import TASK_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lmmixup.stage import InputFile
    from lmmixup.train.config import TrainConfig

_DID = {
    "sft": "Supervised fine-tuning on the cold-start part of a MIXTURE set, loss on the output.",
    "grpo": "GRPO on the RL part of a MIXTURE set, rewarded for quality, alignment and format.",
}


_DOES = (
    "It is given several records of low quality and writes one of high quality (task types "
    f"{', '.join(TASK_TYPES)}), reasoning between `<think>` tags and the record between `<answer>` "
    "tags. The turns are those of `lmmixup.contract`."
)


def write_card(
    folder: Path,
    kind: str,
    config: TrainConfig,
    inputs: Sequence[InputFile],
    figures: Mapping[str, Any],
) -> None:
    """Writes `README.md` with a header as the Hub reads it.

    Args:
        folder: The model's folder.
        kind: `sft` or `grpo`.
        config: The resolved config.
        inputs: The data with digests.
        figures: Numbers of the training, for the table.
    """
    metrics = {key: value for key, value in figures.items() if isinstance(value, int | float)}
    header = {
        "base_model": config.model,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["lmmixup", "instruction-distillation", kind],
    }
    lines = [
        "---",
        *(f"{key}: {json.dumps(value)}" for key, value in header.items()),
        "---",
        "",
        f"# A mixer of instruction records ({kind.upper()})",
        "",
        f"{_DID[kind]} {_DOES}",
        "",
        "## Training",
        "",
        "| figure | value |",
        "|---|--:|",
        *(f"| {key} | {value:,.6g} |" for key, value in metrics.items()),
        "",
        "![curves](curves.png)",
        "",
        "## Data",
        "",
        "| file | bytes | sha256 |",
        "|---|--:|---|",
        *(f"| {file.path} | {file.num_bytes:,} | `{file.sha256}` |" for file in inputs),
        "",
        "## Recipe",
        "",
        "```json",
        json.dumps({kind: config.model_dump(mode="json")}, indent=1),
        "```",
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")
