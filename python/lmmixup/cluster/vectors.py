"""Clusters of vectors: the heart of the stage, on arrays only.

Shapes: N records, D dimensions, K neighbours, C clusters.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup import ops
from lmmixup.errors import ArgumentError
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmmixup.cluster.config import ClusterConfig


RECALL_SAMPLE = 1000
"""Records on which the recall of approximate neighbours is measured."""


class Fate(enum.IntEnum):
    """What became of a record."""

    CLUSTERED = 0
    NOT_PARTITIONABLE = 1
    NOT_SIMILAR = 2
    NO_TOKENS_LEFT = 3
    TOO_LONG = 4
    DISSOLVED = 5
    FILTERED = 6

    @property
    def reason(self) -> str:
        """Short reason for files and manifests."""
        return _REASONS[self]


_REASONS = {
    Fate.CLUSTERED: "clustered",
    Fate.NOT_PARTITIONABLE: "not-partitionable",
    Fate.NOT_SIMILAR: "not-similar",
    Fate.NO_TOKENS_LEFT: "no-tokens-left",
    Fate.TOO_LONG: "too-long",
    Fate.DISSOLVED: "dissolved",
    Fate.FILTERED: "filtered",
}


@dataclass(frozen=True)
class Clusters:
    """Records in clusters.

    Attributes:
        labels: (N,) int32, cluster of each record, numbered from 0 by first record; -1 outside.
        fates: (N,) uint8, a `Fate` each.
        similarity: (N,) float32, cosine to the cluster's centroid; NaN outside.
        sizes: (C,) uint32, records in each cluster.
        pair_cosine: (C,) float32, mean pairwise cosine of each cluster; NaN for a single record.
        figures: Quality of the whole, as it stands in the manifest.
    """

    labels: NDArray[np.int32]
    fates: NDArray[np.uint8]
    similarity: NDArray[np.float32]
    sizes: NDArray[np.uint32]
    pair_cosine: NDArray[np.float32]
    figures: dict[str, Any]


def cluster_vectors(
    vectors_ND: NDArray[np.float32],
    config: ClusterConfig,
    *,
    tokens: NDArray[np.uint32] | None = None,
    neighbours: ops.Neighbours | None = None,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> Clusters:
    """Clusters vectors as the config says and measures the result.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, rows of length 1 (or 0).
        config: Method, sizes and limits.
        tokens: (N,) uint32, tokens of each record; needed for `max_cluster_tokens`.
        neighbours: As `ops.knn` gives them for the same vectors; found here where missing.
        num_threads: 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        Labels, what became of each record, and figures.

    Raises:
        InfeasibleError: N cannot be split into clusters of min..max.
        ArgumentError: Shapes differ, or `max_cluster_tokens` came without `tokens`.
        DataError: A vector is not finite.

    Notes:
        O(N K D) time beside the neighbours. Same labels at any number of threads.

    Source:
        Ours; `paper` after LM-Mixup (arXiv 2510.20449), `mergeit` after arXiv 2503.00034.

    Example:
        >>> import numpy as np
        >>> from lmmixup.cluster import ClusterConfig, cluster_vectors
        >>> vectors = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
        >>> cluster_vectors(vectors, ClusterConfig(min=2, max=3, mean=2)).labels
        array([0, 1, 2, 0, 1, 2], dtype=int32)
    """
    if config.max_cluster_tokens is not None and tokens is None:
        raise ArgumentError("max_cluster_tokens needs the tokens of each record, got none")
    if neighbours is None:
        neighbours = _neighbours(vectors_ND, config, num_threads, reporter)
    options: dict[str, Any] = {
        "bounds": (config.min, config.max),
        "tokens": tokens if config.max_cluster_tokens is not None else None,
        "max_cluster_tokens": config.max_cluster_tokens,
        "seed": config.seed,
        "num_threads": num_threads,
        "on_progress": reporter,
    }
    if config.method == "graph":
        labels, fates = _graph(vectors_ND, neighbours, config, options)
    elif config.method == "paper":
        sizes = _draw(len(vectors_ND), config)
        labels, fates = ops.cluster_paper(vectors_ND, sizes=sizes, **options)
    else:
        labels, fates = _mergeit(vectors_ND, config, options)
    quality = ops.cluster_quality(
        vectors_ND,
        labels,
        neighbours.idx_QK,
        neighbours.sim_QK,
        num_threads=num_threads,
        on_progress=reporter,
    )
    figures = _figures(quality, fates, neighbours, config)
    return Clusters(
        labels,
        fates,
        quality["to_centroid"],
        quality["sizes"],
        quality["cluster_pair_cosine"],
        figures,
    )


def _neighbours(
    vectors_ND: NDArray[np.float32], config: ClusterConfig, num_threads: int, reporter: Reporter
) -> ops.Neighbours:
    k = min(config.neighbours, max(len(vectors_ND) - 1, 1))
    return ops.knn(
        vectors_ND,
        k,
        method=config.search,
        recall_sample=RECALL_SAMPLE,
        seed=config.seed,
        num_threads=num_threads,
        on_progress=reporter,
    )


def _graph(
    vectors_ND: NDArray[np.float32],
    neighbours: ops.Neighbours,
    config: ClusterConfig,
    options: dict[str, Any],
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    drawn = config.sizes == "drawn"
    return ops.cluster_graph(
        vectors_ND,
        neighbours.idx_QK,
        neighbours.sim_QK,
        mean=config.mean,
        sizes=_draw(len(vectors_ND), config) if drawn else None,
        min_similarity=config.min_similarity,
        allow_leftover=config.allow_leftover,
        max_rounds=config.max_rounds,
        **options,
    )


def _draw(num_records: int, config: ClusterConfig) -> NDArray[np.uint32]:
    bounds = (config.min, config.max)
    if config.allow_leftover or config.max_cluster_tokens or config.min_similarity is not None:
        num_records = ops.most_partitionable(num_records, bounds)
    return ops.draw_sizes(num_records, bounds, config.mean, config.std, config.seed)


def _mergeit(
    vectors_ND: NDArray[np.float32], config: ClusterConfig, options: dict[str, Any]
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    similarity = 0.8 if config.min_similarity is None else config.min_similarity
    reduced = None if config.pca is None else _reduce(vectors_ND, config.pca)
    return ops.cluster_mergeit(
        vectors_ND, reduced, similarity=similarity, keep=config.filter_share, **options
    )


def _reduce(vectors_ND: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """Projects on the first principal axes and scales rows to length 1."""
    centred = vectors_ND - vectors_ND.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    reduced = (centred @ axes[:, ::-1][:, :dim]).astype(np.float32)
    lengths = np.linalg.norm(reduced, axis=1, keepdims=True)
    return np.ascontiguousarray(reduced / np.where(lengths > 0, lengths, 1))


def _figures(
    quality: dict[str, Any],
    fates: NDArray[np.uint8],
    neighbours: ops.Neighbours,
    config: ClusterConfig,
) -> dict[str, Any]:
    sizes = quality["sizes"]
    histogram = np.bincount(sizes) if len(sizes) else np.zeros(1, np.int64)
    reasons = np.bincount(fates, minlength=len(Fate))
    return {
        "method": config.method,
        "search": neighbours.method,
        "knn_recall": neighbours.recall,
        "clusters": len(sizes),
        "clustered_records": int(reasons[Fate.CLUSTERED]),
        "mean_size": _number(sizes.mean() if len(sizes) else np.nan),
        "cosine_to_centroid": _number(quality["centroid_mean"]),
        "cosine_to_centroid_p10": _number(quality["centroid_p10"]),
        "pair_cosine": _number(quality["pair_mean"]),
        "pair_cosine_of_random_pairs": _number(quality["random_pair_mean"]),
        "junk_share": _number(quality["junk_share"]),
        "nearest_neighbour_together": _number(quality["nearest_together"]),
        "near_duplicates_together": _number(quality["duplicates_together"]),
        "sizes": {str(size): int(n) for size, n in enumerate(histogram) if n},
        "reasons": {fate.reason: int(reasons[fate]) for fate in Fate if reasons[fate]},
    }


def _number(value: float) -> float | None:
    """The value as JSON knows it: null for what has no value."""
    return None if np.isnan(value) else float(value)
