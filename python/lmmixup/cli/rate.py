"""`lmmixup rate POOL... -o DIR --knn-bayes LIB`."""

from __future__ import annotations

from lmmixup.cli.stage import stage_command
from lmmixup.rate.knn_bayes import KnnBayesConfig, run

command = stage_command(
    "rate",
    run,
    KnnBayesConfig,
    help="Rate the records of POOL 0 to 5 by their nearest neighbours in a library of rated "
    "records.",
    examples=[
        "lmmixup rate pool.jsonl -o rated/ --knn-bayes lib/",
        "lmmixup rate rated/ -o again/ --knn-bayes lib/ --prefix knn_",
    ],
    files={
        "data.parquet": "all records, with rating, posterior and neighbours",
        "manifest.json": "libraries, counts",
    },
)
