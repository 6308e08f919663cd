"""`lmmixup curate POOL... -o DIR`."""

from __future__ import annotations

from lmmixup.cli.stage import stage_command
from lmmixup.curate import CurateConfig, run

command = stage_command(
    "curate",
    run,
    CurateConfig,
    help="Correct the ratings of POOL where those of a record's neighbours say that the judge "
    "erred. Unrated records stay unrated.",
    examples=[
        "lmmixup curate rated -o curated",
        "lmmixup curate rated -o curated --embedder wordllama --confidence 0.8",
        "lmmixup curate rated -o curated --rating gpt --judges gpt,llama,mistral",
        "lmmixup curate rated -o curated --method paper",
    ],
    files={
        "data.parquet": "all records, with rating, rating_observed, curated, rating_confidence",
        "transitions.png": "how the judge errs, before and after",
    },
)
