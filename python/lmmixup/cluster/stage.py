"""The stage `cluster`: a pool in, clusters of similar records and what is left over out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from lmmixup.cluster.charts import draw_charts
from lmmixup.cluster.config import ClusterConfig
from lmmixup.cluster.files import write_files
from lmmixup.cluster.tokens import count_tokens
from lmmixup.cluster.vectors import cluster_vectors
from lmmixup.embed import embed_pool
from lmmixup.pool.spill import spilled
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.pool import Pool


def run(
    pool: Pool,
    config: ClusterConfig | None = None,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Clusters a pool and writes clusters, leftovers and charts.

    Args:
        pool: Where the records come from.
        config: Method, sizes and limits.
        output: Folder to make.
        overwrite: Replace an output that exists.
        num_threads: 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        The finished folder: `data.parquet` (clustered records by cluster, nearest to the centroid
        first), `leftover.parquet`, `dropped.parquet`, `clusters.parquet`, `sizes.png`,
        `similarity.png`, `rejects.jsonl`, `manifest.json`.

    Raises:
        InfeasibleError: The records cannot be split into clusters of min..max.
        DataError: The token column is missing, or the vectors are not one for each record.
        OutputExistsError: The output exists and `overwrite` is false.

    Notes:
        Texts stream; vectors, neighbours and ids are held: 4 N (D + 2 K) bytes and the ids.
        Same bytes at any number of threads.

    Source:
        Ours.
    """
    config = config or ClusterConfig()
    with StageRun(
        "cluster", output, config=config, pool=pool, overwrite=overwrite, reporter=reporter
    ) as open_run:
        records = spilled(pool, open_run.scratch, num_threads=num_threads, reporter=reporter)
        limited = config.max_cluster_tokens is not None
        tokens = count_tokens(records, config.token_column) if limited else None
        embedded = embed_pool(
            records, config.embed_config(), num_threads=num_threads, reporter=reporter
        )
        ids, open_run.figures["identity"] = embedded.ids, embedded.identity
        if num_zero := int((~embedded.vectors_ND.any(axis=1)).sum()):
            open_run.figures["zero_vectors"] = num_zero  # like nothing, so anywhere
        # what Arrow keeps for the next texts would stand beside the neighbours
        pa.default_memory_pool().release_unused()
        clusters = cluster_vectors(
            embedded.vectors_ND, config, tokens=tokens, num_threads=num_threads, reporter=reporter
        )
        del embedded  # the vectors are the largest thing here, and done with
        write_files(open_run, records, ids, clusters, config.max_cluster_tokens)
        open_run.counts.input = len(ids)
        open_run.figures.update(clusters.figures)
        draw_charts(clusters, open_run.folder)
    return open_run.result
