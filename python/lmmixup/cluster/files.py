"""The files of a clustering: each record in the one that its fate names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lmmixup.cluster.vectors import Clusters, Fate
from lmmixup.reorder import reordered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmmixup.pool import Pool
    from lmmixup.stage import StageRun

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

DATA_FIELDS = [
    pa.field("cluster", pa.int32(), nullable=False),
    pa.field("similarity", pa.float32(), nullable=False),
]
LEFTOVER_FIELDS = [pa.field("reason", pa.string(), nullable=False)]


def write_files(
    run: StageRun,
    pool: Pool,
    ids: pa.ChunkedArray,
    clusters: Clusters,
    max_cluster_tokens: int | None,
) -> None:
    """Writes `data`, `leftover`, `dropped` and `clusters.parquet` and counts the outcomes.

    Args:
        run: The open run.
        pool: The records; read once, and once more where there are leftovers.
        ids: (N,) their ids.
        clusters: What became of them.
        max_cluster_tokens: The limit that dropped records break.
    """
    order = np.flatnonzero(clusters.labels >= 0)
    order = order[np.lexsort((-clusters.similarity[order], clusters.labels[order]))]
    _write_data(run, pool, clusters, order)
    _write_leftover(run, pool, clusters)
    too_long = np.flatnonzero(clusters.fates == Fate.TOO_LONG)
    detail = f"has more than {max_cluster_tokens} tokens by itself"
    run.drop(
        _pick(ids, too_long),
        Fate.TOO_LONG.reason,
        details=pa.array([detail] * len(too_long), pa.string()),
    )
    _write_clusters(run, ids, clusters, order)


def _write_data(run: StageRun, pool: Pool, clusters: Clusters, order: NDArray[np.int64]) -> None:
    schema = _schema(pool, DATA_FIELDS)
    sink = run.writer("data.parquet", schema)
    places = np.full(len(clusters.labels), -1)
    places[order] = np.arange(len(order))
    done = 0
    for rows in reordered(pool.batches(_names(pool, DATA_FIELDS)), places, run.scratch):
        part = order[done : done + rows.num_rows]
        done += rows.num_rows
        added = [pa.array(clusters.labels[part]), pa.array(clusters.similarity[part])]
        sink.write(pa.Table.from_arrays([*rows.columns, *added], schema=schema))
        run.reporter("write clusters", done, len(order))
    run.counts.kept = len(order)


def _write_leftover(run: StageRun, pool: Pool, clusters: Clusters) -> None:
    schema = _schema(pool, LEFTOVER_FIELDS)
    sink = run.writer("leftover.parquet", schema)
    is_left = (clusters.fates != Fate.CLUSTERED) & (clusters.fates != Fate.TOO_LONG)
    run.counts.leftover = int(is_left.sum())
    if not run.counts.leftover:
        return
    reasons = pa.array([fate.reason for fate in Fate], pa.string())
    done = 0
    for batch in pool.batches(_names(pool, LEFTOVER_FIELDS)):
        rows = slice(done, done + batch.num_rows)
        done += batch.num_rows
        columns = [*batch.columns, reasons.take(pa.array(clusters.fates[rows]))]
        whole = pa.RecordBatch.from_arrays(columns, schema=schema)
        sink.write(whole.filter(pa.array(is_left[rows])))


def _names(pool: Pool, added: list[pa.Field]) -> list[str]:
    """The pool's columns; one that the stage adds itself is replaced."""
    names = [field.name for field in added]
    return [name for name in pool.schema.names if name not in names]


def _schema(pool: Pool, added: list[pa.Field]) -> pa.Schema:
    incoming = [pool.schema.field(name) for name in _names(pool, added)]
    return pa.schema([*incoming, *added], pool.schema.metadata)


def _pick(ids: pa.ChunkedArray, rows: NDArray[np.int64]) -> pa.Array:
    return ids.take(pa.array(rows)).combine_chunks()


def _write_clusters(
    run: StageRun, ids: pa.ChunkedArray, clusters: Clusters, order: NDArray[np.int64]
) -> None:
    offsets = np.concatenate([[0], np.cumsum(clusters.sizes, dtype=np.int64)])
    p10 = _tenth_percentiles(clusters.similarity[order], offsets)
    table = pa.Table.from_arrays(
        [
            pa.array(np.arange(len(clusters.sizes)), pa.int32()),
            pa.array(clusters.sizes, pa.int32()),
            pa.array(clusters.pair_cosine, pa.float32(), from_pandas=True),
            pa.array(p10, pa.float32()),
            pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _pick(ids, order)),
        ],
        schema=CLUSTERS_SCHEMA,
    )
    run.writer("clusters.parquet", CLUSTERS_SCHEMA).write(table)


def _tenth_percentiles(
    similarity: NDArray[np.float32], offsets: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of each cluster's values, which fall: between the two that enclose the tenth part."""
    from_last = 0.1 * (np.diff(offsets) - 1)
    low = offsets[1:] - 1 - np.floor(from_last).astype(np.int64)
    high = np.maximum(low - 1, offsets[:-1])
    values = similarity.astype(np.float64)
    return np.asarray(values[low] + (values[high] - values[low]) * (from_last % 1))
