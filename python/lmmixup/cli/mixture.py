"""`lmmixup mixture build TEXTS... -o MIXTURE`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lmmixup.cli.stage import stage_command
from lmmixup.mixture import MixtureConfig, open_texts, preview, run

if TYPE_CHECKING:
    from lmmixup.stage import StageResult


def nothing_made(result: StageResult) -> str | None:
    """Says that not one sample was made."""
    if result.counts["made"] or not result.counts["input"]:
        return None
    return (
        f"no text gave a sample; see {result.path / 'dropped.parquet'} and the manifest's refused"
    )


build_command = stage_command(
    "build",
    run,
    MixtureConfig,
    help="Make the training set of a mixer of plain TEXTS (a column `text`, and `title` where "
    "there is one): good records of five task types, each with bad variants of it, by rules "
    "without any model, or by a model on an OpenAI-compatible server; split by article; with a "
    "library of each task type.",
    examples=[
        "lmmixup mixture build text.jsonl -o mixture",
        "lmmixup mixture build wiki.parquet -o mixture --license cc-by-sa-4.0 --seed 7",
        "lmmixup mixture build text.jsonl -o mixture --teacher openai:gpt-4o-mini --dry-run",
    ],
    files={
        "cold_start.parquet": "samples for supervised training",
        "rl.parquet": "samples for GRPO",
        "validation.parquet": "samples for its validation",
        "test.parquet": "samples of articles that are in none of the others",
        "edits.parquet": "every typing error, to be undone",
        "answers.parquet": "every answer of a model as it came",
        "README.md": "data-set card",
        "croissant.json": "its metadata for machines",
        "dropped.parquet": "texts that gave no sample, and why",
    },
    sources=click.Argument(["sources"], nargs=-1, required=True, metavar="TEXTS..."),
    open_sources=open_texts,
    preview=preview,
    complaint=nothing_made,
)

command = click.Group(
    "mixture", commands=[build_command], help="Build the training set of a mixer."
)
