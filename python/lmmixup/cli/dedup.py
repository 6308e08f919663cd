"""`lmmixup dedup`."""

from lmmixup.cli.stage import stage_command
from lmmixup.dedup import DedupConfig, run

command = stage_command(
    "dedup",
    run,
    DedupConfig,
    help="Remove exact and near-duplicate records. A family is what is connected by pairs at the "
    "threshold; of each, a record stays unless one that stays is at the threshold.",
    examples=[
        "lmmixup dedup examples/pool.jsonl -o deduped",
        "lmmixup dedup pool.parquet -o deduped --threshold 0.8 --rating quality",
        "lmmixup dedup pool.jsonl -o deduped --semantic --embedder wordllama",
        "lmmixup dedup pool.jsonl -o clean --against test_set.jsonl",
        "lmmixup dedup new.jsonl -o grown --update deduped",
    ],
    files={
        "data.parquet": "records that stay",
        "dropped.parquet": "the others: why, and in whose favour",
        "families.parquet": "the family of every record",
        "families.png": "sizes of the families",
        "against.parquet": "what of the other pool was found",
    },
    shortcuts={"--semantic": ("method", "semantic")},
)
