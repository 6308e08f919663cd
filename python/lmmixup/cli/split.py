"""`lmmixup split POOL... -o DIR`."""

from __future__ import annotations

from lmmixup.cli.stage import stage_command
from lmmixup.split import SplitConfig, run

command = stage_command(
    "split",
    run,
    SplitConfig,
    help="Split the rated records of POOL into three pools: high, low and unrated.",
    examples=[
        "lmmixup split rated -o split --at 4",
        "lmmixup split rated -o split --at 3.5 --rating expected --unrated low",
    ],
    files={
        "high/data.parquet": "records rated at least --at",
        "low/data.parquet": "records rated below: what is clustered and distilled",
        "unrated/data.parquet": "records without a rating",
    },
)
