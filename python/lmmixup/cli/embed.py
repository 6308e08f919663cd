"""`lmmixup embed POOL... -o DIR`."""

from __future__ import annotations

from lmmixup.cli.stage import stage_command
from lmmixup.embed import EmbedConfig, run

command = stage_command(
    "embed",
    run,
    EmbedConfig,
    help="Turn the records of POOL into vectors, one row of vectors.npy each.",
    examples=[
        "lmmixup embed pool.jsonl -o vectors/",
        "lmmixup embed pool.jsonl -o vectors/ --embedder wordllama --dtype f16",
        "lmmixup embed pool.jsonl -o vectors/ --embedder st:BAAI/bge-m3",
        "lmmixup embed pool.jsonl -o v/ --embedder openai:m --base-url http://localhost:8000/v1",
    ],
    files={
        "data.parquet": "the records, as they came in",
        "vectors.npy": "their vectors, row by row",
        "scales.npy": "what each i8 row is multiplied by",
    },
)
