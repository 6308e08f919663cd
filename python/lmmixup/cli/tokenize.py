"""`lmmixup tokenize POOL... -o DIR --tokenizer DIR`."""

from __future__ import annotations

from lmmixup.cli.stage import stage_command
from lmmixup.tokenize import TokenizeConfig, run

command = stage_command(
    "tokenize",
    run,
    TokenizeConfig,
    help="Turn the chats of POOL into packed rows of token ids with a loss mask, as a data set "
    "that `datasets.load_from_disk` opens and TRL's SFTTrainer trains on as it is.",
    examples=[
        "lmmixup tokenize pool.jsonl -o tokens --tokenizer model/",
        "lmmixup tokenize selected -o tokens --tokenizer model/ --max-row-tokens 4096",
        "lmmixup tokenize pool.jsonl -o lengths --tokenizer model/ --stats",
    ],
    files={
        "data-00000-of-00001.arrow": "packed rows",
        "dropped.parquet": "records that became no tokens, and why",
        "lengths.png": "how long records are (with --stats)",
    },
)
