"""The stage `cluster`: a pool in, clusters of similar records and what is left over out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmmixup.cluster.charts import draw_charts
from lmmixup.cluster.vectors import Clusters, Fate, cluster_vectors
from lmmixup.embed import embed_pool
from lmmixup.errors import DataError
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lmmixup.cluster.config import ClusterConfig
    from lmmixup.pool import Pool

BYTES_PER_TOKEN = 4
"""UTF-8 bytes that count as one token where no column has the tokens."""

ADDED = pa.schema(
    [
        pa.field("cluster", pa.int32(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)
"""What `data.parquet` has beside the columns that came in."""

REASON = pa.schema([pa.field("reason", pa.string(), nullable=False)])
"""What `leftover.parquet` has beside them."""

CLUSTERS_SCHEMA = pa.schema(
    [
        pa.field("cluster", pa.int32(), nullable=False),
        pa.field("size", pa.int32(), nullable=False),
        pa.field("pair_cosine", pa.float32()),
        pa.field("similarity_p10", pa.float32()),
        pa.field("ids", pa.list_(pa.string()), nullable=False),
    ]
)
"""Columns of `clusters.parquet`: mean cosine over the cluster's pairs, 10th percentile of its
records' cosines to the centroid, and its ids, nearest to the centroid first."""


def run(
    pool: Pool,
    config: ClusterConfig,
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
        Holds the pool and its vectors in memory. Same bytes at any number of threads.

    Source:
        Ours.
    """
    stage_run = StageRun(
        "cluster", output, config=config, pool=pool, overwrite=overwrite, reporter=reporter
    )
    with stage_run as open_run:
        records = pa.Table.from_batches(pool.batches(), pool.schema)
        embedded = embed_pool(
            pool, config.embed_config(), num_threads=num_threads, reporter=reporter
        )
        open_run.figures["embedding"] = embedded.identity
        clusters = cluster_vectors(
            embedded.vectors_ND,
            config,
            tokens=None if config.max_tokens is None else count_tokens(records, config),
            num_threads=num_threads,
            reporter=reporter,
        )
        _write(open_run, records, clusters, config)
        open_run.counts.input = records.num_rows + len(list(pool.rejects))
        open_run.figures.update(clusters.figures)
        draw_charts(clusters, open_run.folder)
    if stage_run.result is None:
        raise RuntimeError("the run ended without a result")
    return stage_run.result


def count_tokens(records: pa.Table, config: ClusterConfig) -> NDArray[np.uint32]:
    """Tokens of each record: the named column, or an estimate from bytes.

    Args:
        records: Canonical records.
        config: Names the column, or none.

    Returns:
        (N,) uint32.

    Raises:
        DataError: The column is missing, not of whole numbers, has nulls or negative numbers.
    """
    name = config.token_column
    if name is None:
        num_bytes = sum(
            _array(pc.binary_length(records[column])).astype(np.int64)
            for column in ("prompt", "completion")
        )
        # one more for the newline between the two
        return (np.asarray(-(-num_bytes // BYTES_PER_TOKEN)) + 1).astype(np.uint32)
    if name not in records.column_names:
        raise DataError(f"the pool has no column {name!r}; it has {records.column_names}")
    column = records[name]
    if not pa.types.is_integer(column.type) or column.null_count:
        raise DataError(
            f"{name!r} must hold a whole number of tokens for each record, got {column.type} "
            f"with {column.null_count} nulls"
        )
    tokens = _array(column).astype(np.int64)
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < 2**32:
        raise DataError(f"{name!r} must be in 0..2^32 - 1, got {tokens.min()}..{tokens.max()}")
    return tokens.astype(np.uint32)


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    return np.asarray(column.to_numpy())


def _write(run: StageRun, records: pa.Table, clusters: Clusters, config: ClusterConfig) -> None:
    clustered = np.flatnonzero(clusters.labels >= 0)
    keys = (-clusters.similarity[clustered], clusters.labels[clustered])
    clustered = clustered[np.lexsort(keys)]
    found = [clusters.labels[clustered], clusters.similarity[clustered]]
    added = pa.RecordBatch.from_arrays(
        [pa.array(one, field.type) for one, field in zip(found, ADDED, strict=True)], schema=ADDED
    )
    run.write_rows("data.parquet", records, clustered, added)
    run.counts.kept = len(clustered)
    outside = (clusters.fates != Fate.CLUSTERED) & (clusters.fates != Fate.TOO_LONG)
    left = np.flatnonzero(outside)
    reasons = [Fate(int(fate)).reason for fate in clusters.fates[left]]
    reason = pa.RecordBatch.from_arrays([pa.array(reasons, pa.string())], schema=REASON)
    run.write_rows("leftover.parquet", records, left, reason)
    run.counts.leftover = len(left)
    too_long = np.flatnonzero(clusters.fates == Fate.TOO_LONG)
    detail = f"has more than {config.max_tokens} tokens by itself"
    run.drop(
        records["id"].take(pa.array(too_long)).combine_chunks(),
        Fate.TOO_LONG.reason,
        details=pa.array([detail] * len(too_long), pa.string()),
    )
    _write_clusters(run, records, clusters, clustered)


def _write_clusters(
    run: StageRun, records: pa.Table, clusters: Clusters, clustered: NDArray[np.int64]
) -> None:
    ends = np.cumsum(clusters.sizes, dtype=np.int64)
    offsets = np.concatenate([[0], ends])
    similarity = clusters.similarity[clustered]
    p10 = [float(np.quantile(similarity[a:b], 0.1)) for a, b in zip(offsets, ends, strict=False)]
    ids = records["id"].take(pa.array(clustered)).combine_chunks()
    table = pa.Table.from_arrays(
        [
            pa.array(np.arange(len(ends)), pa.int32()),
            pa.array(clusters.sizes, pa.int32()),
            pa.array(clusters.pair_cosine, pa.float32(), from_pandas=True),
            pa.array(p10, pa.float32()),
            pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), ids),
        ],
        schema=CLUSTERS_SCHEMA,
    )
    run.writer("clusters.parquet", CLUSTERS_SCHEMA).write(table)
