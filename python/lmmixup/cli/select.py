"""`lmmixup select POOL... -o DIR`."""

from __future__ import annotations

import click

from lmmixup.cli.stage import stage_command
from lmmixup.select import SelectConfig, run

command = stage_command(
    "select",
    run,
    SelectConfig,
    help="Select the records of POOL to train on, in the order of a strategy. With --distilled the "
    "best distilled records and the best of POOL are merged at a ratio.",
    examples=[
        "lmmixup select rated -o selected --num 10000",
        "lmmixup select --distilled distilled --original rated -o train --num 10000 --ratio 5:5",
        "lmmixup select rated -o selected --num 1000 --layout trl,llama-factory,axolotl",
        "lmmixup select pool.jsonl -o baseline --num 1000 --strategy longest",
        "lmmixup select pool.jsonl -o ifd --num 1000 --strategy ifd --model models/SmolLM2-135M",
    ],
    files={
        "data.parquet": "the selected records",
        "dropped.parquet": "the others, and why",
        "trl/train.jsonl": "for TRL: prompt and completion as messages",
        "llama-factory/dataset_info.json": "for LLaMA-Factory: dataset_dir is its folder",
        "axolotl/dataset.yml": "for axolotl: the part of the config",
    },
    sources=click.Argument(["sources"], nargs=-1, metavar="[POOL...]"),
    more_sources=click.Option(
        ["--original", "more_sources"], multiple=True, metavar="POOL", help="The same as POOL."
    ),
)
