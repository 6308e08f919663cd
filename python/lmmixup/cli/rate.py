"""`lmmixup rate POOL... -o DIR`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmmixup.cli.stage import stage_command
from lmmixup.rate import RateConfig, preview, run

if TYPE_CHECKING:
    from lmmixup.stage import StageResult


def nothing_rated(result: StageResult) -> str | None:
    """Says that not one record was rated, and why."""
    if result.figures["rated"] or not result.figures["unrated"]:
        return None
    reasons = ", ".join(
        f"{number:,} {reason}" for reason, number in result.figures["unrated_reasons"].items()
    )
    return (
        f"none of {result.figures['unrated']:,} records was rated: {reasons}; "
        f"see {result.path / 'data.parquet'}"
    )


command = stage_command(
    "rate",
    run,
    RateConfig,
    help="Rate the records of POOL from 0 to 5 by judge LLMs on OpenAI-compatible servers, or by "
    "their nearest neighbours in a library of rated records. A record "
    "without a usable answer stays, unrated, with the reason.",
    examples=[
        "lmmixup rate pool.jsonl -o rated --base-url http://localhost:8000/v1 --model judge",
        "lmmixup rate pool.jsonl -o rated --model m --price-in 0.15 --price-out 0.6 --dry-run",
        "lmmixup rate pool.jsonl -o rated --model gpt-4o-mini --batch",
        "lmmixup rate pool.jsonl -o rated --base-url http://localhost:8000/v1 --model a --model b",
        "lmmixup rate pool.jsonl -o rated --knn-bayes lib",
    ],
    files={
        "data.parquet": "all records, rated or with the reason why not",
        "answers.parquet": "every answer as it came",
    },
    preview=preview,
    complaint=nothing_rated,
)
