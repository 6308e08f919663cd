"""`lmmixup distill POOL... -o DIR`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmmixup.cli.stage import stage_command
from lmmixup.distill import DistillConfig, preview, run

if TYPE_CHECKING:
    from lmmixup.stage import StageResult


def nothing_made(result: StageResult) -> str | None:
    """Says that not one record was made, and why."""
    if result.counts["made"] or not result.counts["leftover"]:
        return None
    reasons = ", ".join(
        f"{number:,} {reason}" for reason, number in result.figures["leftover_reasons"].items()
    )
    return (
        f"none of {result.figures['clusters']:,} clusters gave a record: {reasons} records; "
        f"see {result.path / 'leftover.parquet'}"
    )


command = stage_command(
    "distill",
    run,
    DistillConfig,
    help="Make one record of each cluster of POOL, which `lmmixup cluster` wrote: by a trained "
    "mixer in a folder, by a model on an OpenAI-compatible server, or, without one, of the best "
    "that its records say. Every record is used in one made record, or leftover with the reason. "
    "What a made record says is compared with its sources.",
    examples=[
        "lmmixup distill clusters -o distilled",
        "lmmixup distill clusters -o distilled --limit 20 --preview",
        "lmmixup distill clusters -o distilled --mixer openai:gpt-4o-mini --retries 1",
        "lmmixup distill clusters -o distilled --mixer openai:m --base-url http://localhost:8000/v1",
        "lmmixup distill clusters -o distilled --mixer local:models/mixup --batch-size 16",
        "lmmixup distill groups -o merged --mixer mergeit:gpt-4o-mini --library library",
    ],
    files={
        "data.parquet": "the made records, their sources and what they keep of them",
        "leftover.parquet": "records that went into none, and why",
        "answers.parquet": "every answer of a model as it came",
    },
    preview=preview,
    preview_flags=("--preview", "--dry-run"),
    complaint=nothing_made,
)
