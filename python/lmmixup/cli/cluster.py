"""`lmmixup cluster POOL... -o DIR`."""

from __future__ import annotations

from lmmixup.cli.stage import stage_command
from lmmixup.cluster import ClusterConfig, run

command = stage_command(
    "cluster",
    run,
    ClusterConfig,
    help="Group the records of POOL into clusters of similar ones with a bounded size. Every "
    "record ends in exactly one of cluster, leftover, dropped.",
    examples=[
        "lmmixup cluster examples/pool.jsonl -o clusters --min 2 --max 5 --mean 3",
        "lmmixup cluster pool.parquet -o clusters --max-cluster-tokens 2400 --min-similarity 0.3",
        "lmmixup cluster pool.parquet -o clusters --sizes drawn --mean 10 --std 3 --seed 7",
        "lmmixup cluster pool.jsonl -o groups --method mergeit --min 2 --max 5 --mean 3",
    ],
    files={
        "data.parquet": "clustered records, cluster by cluster",
        "clusters.parquet": "a row for each cluster",
        "leftover.parquet": "records in no cluster, and why",
        "dropped.parquet": "records that no cluster can hold",
        "sizes.png": "how large the clusters are",
        "similarity.png": "how alike their records are",
    },
)
