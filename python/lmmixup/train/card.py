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

_MIXER = (
    "It is given several records of low quality and writes one of high quality (task types "
    f"{', '.join(TASK_TYPES)}), reasoning between `<think>` tags and the record between `<answer>` "
    "tags. The turns are those of `lmmixup.contract`."
)

_ABOUT = {
    "cold_start": "Supervised fine-tuning on the cold-start part of a MIXTURE set, loss on the "
    f"output. {_MIXER}",
    "rl": "GRPO on the RL part of a MIXTURE set, rewarded for quality, alignment and format. "
    f"{_MIXER}",
    "packed": "Supervised fine-tuning on chats that `lmmixup tokenize` packed, loss on answers.",
}
"""What a model is, by the part of the data."""


def write_card(
    folder: Path,
    part: str,
    config: TrainConfig,
    inputs: Sequence[InputFile],
    figures: Mapping[str, Any],
) -> None:
    """Writes `README.md` with a header as the Hub reads it.

    Args:
        folder: The model's folder.
        part: Part of the data: `cold_start`, `rl` or `packed`.
        config: The resolved config.
        inputs: The data with digests.
        figures: Numbers of the training, for the table.
    """
    kind = "grpo" if part == "rl" else "sft"
    metrics = {key: value for key, value in figures.items() if isinstance(value, int | float)}
    header = {
        "base_model": config.model,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["lmmixup", *([] if part == "packed" else ["instruction-distillation"]), kind],
    }
    lines = [
        "---",
        *(f"{key}: {json.dumps(value)}" for key, value in header.items()),
        "---",
        "",
        f"# {'A model' if part == 'packed' else 'A mixer of instruction records'} ({kind.upper()})",
        "",
        _ABOUT[part],
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
