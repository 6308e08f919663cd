"""Clusters of bounded size, and how good they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmmixup import _rust

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from lmmixup.ops import OnProgress


def most_partitionable(num_records: int, bounds: tuple[int, int]) -> int:
    """The most records that can be split into whole clusters.

    Args:
        num_records: Records there are.
        bounds: Smallest and largest size of a cluster, `1 <= min <= max`.

    Returns:
        `num_records`, or less where no number of clusters fits. O(1).

    Source:
        Ours.

    Example:
        >>> from lmmixup import ops
        >>> ops.most_partitionable(7, (4, 5))
        5
    """
    return _rust.most_partitionable(num_records, bounds)


def draw_sizes(
    num_records: int, bounds: tuple[int, int], mean: float, std: float, seed: int = 0
) -> npt.NDArray[np.uint32]:
    """Cluster sizes drawn from N(mean, std), rounded and clipped, that sum to `num_records`.

    Args:
        num_records: Their sum.
        bounds: Smallest and largest size.
        mean: Of the distribution before clipping, records.
        std: Its standard deviation, records.
        seed: Of a ChaCha8 stream.

    Returns:
        (C,) uint32.

    Raises:
        InfeasibleError: No sizes within the bounds have that sum.

    Notes:
        Always ends: a size that leaves a rest that nothing can fill is not drawn. The same on
        every platform.

    Source:
        LM-Mixup's capacities (arXiv 2510.20449), without the sampler's endless loop.

    Example:
        >>> from lmmixup import ops
        >>> int(ops.draw_sizes(100, (2, 5), 3.0, 1.0).sum())
        100
    """
    return _rust.draw_sizes(num_records, bounds, mean, std, seed)


def cluster_graph(
    vectors_ND: npt.NDArray[np.float32],
    indices_NK: npt.NDArray[np.int32],
    similarities_NK: npt.NDArray[np.float32],
    *,
    bounds: tuple[int, int],
    mean: float,
    sizes: npt.NDArray[np.uint32] | None = None,
    min_similarity: float | None = None,
    tokens: npt.NDArray[np.uint32] | None = None,
    max_cluster_tokens: int | None = None,
    allow_leftover: bool = False,
    seed: int = 0,
    max_rounds: int = 100,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Capacity-bounded clusters along a nearest-neighbour graph.

    A seeded fill, densest records first, then moves and swaps that raise the sum over clusters
    of ||S||^2 / n.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, rows of length 1 or 0.
        indices_NK: (N, K) int32, nearest first, -1 where there are fewer, never the row itself.
        similarities_NK: (N, K) float32 cosines.
        bounds: Smallest and largest size of a cluster.
        mean: Records a cluster; their number is round(N / mean), or the nearest possible.
        sizes: (C,) uint32, exactly these sizes instead; where their sum is less than N the rest
            is left over.
        min_similarity: Least mean cosine of each record to its cluster mates, -1..1.
        tokens: (N,) uint32, for `max_cluster_tokens`.
        max_cluster_tokens: Most tokens of a cluster together.
        allow_leftover: Leave records over where N cannot be split, instead of an error.
        seed: Orders records that are equally dense.
        max_rounds: Most rounds of local search.
        num_threads: 0 takes all cores.
        on_progress: Called with (phase, done, total).

    Returns:
        labels (N,) int32 numbered by first record, -1 outside; fates (N,) uint8, see
        `lmmixup.cluster.Fate`.

    Raises:
        InfeasibleError: N cannot be split into clusters within the bounds.
        ArgumentError: A shape or range is wrong.
        DataError: A vector is not finite, or a neighbour no record.

    Notes:
        O(N K D) time; N K + C D numbers of memory. Same labels at any number of threads.

    Source:
        Ours.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> vectors = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
        >>> near = np.array([[2], [3], [0], [1]], np.int32), np.ones((4, 1), np.float32)
        >>> ops.cluster_graph(vectors, *near, bounds=(2, 2), mean=2.0)[0]
        array([0, 1, 0, 1], dtype=int32)
    """
    return _rust.cluster_graph(
        vectors_ND,
        indices_NK,
        similarities_NK,
        bounds=bounds,
        mean=mean,
        sizes=sizes,
        min_similarity=min_similarity,
        tokens=tokens,
        max_cluster_tokens=max_cluster_tokens,
        allow_leftover=allow_leftover,
        seed=seed,
        max_rounds=max_rounds,
        num_threads=num_threads,
        on_progress=on_progress,
    )


def cluster_paper(
    vectors_ND: npt.NDArray[np.float32],
    *,
    bounds: tuple[int, int],
    sizes: npt.NDArray[np.uint32],
    tokens: npt.NDArray[np.uint32] | None = None,
    max_cluster_tokens: int | None = None,
    epochs: int = 3,
    seed: int = 0,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """The paper's clusters: mini-batch k-means, then records take the nearest centre with room.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, rows of length 1 or 0.
        bounds: Smallest and largest size; a smaller cluster is dissolved.
        sizes: (C,) uint32, the room of each centre, as from `draw_sizes`.
        tokens: (N,) uint32, for `max_cluster_tokens`.
        max_cluster_tokens: Most tokens of a cluster together.
        epochs: Passes of k-means over the records.
        seed: Of k-means.
        num_threads: 0 takes all cores.
        on_progress: Called with (phase, done, total).

    Returns:
        labels and fates as of `cluster_graph`.

    Raises:
        ArgumentError: A shape or range is wrong.
        DataError: A vector is not finite.

    Notes:
        O(N C D) time, O(N + C D) memory. Same labels at any number of threads.

    Source:
        LM-Mixup (arXiv 2510.20449).

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> vectors = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
        >>> labels, _ = ops.cluster_paper(vectors, bounds=(2, 2), sizes=np.array([2, 2], np.uint32))
        >>> bool(labels[0] == labels[2] != labels[1] == labels[3])
        True
    """
    return _rust.cluster_paper(
        vectors_ND,
        bounds=bounds,
        sizes=sizes,
        tokens=tokens,
        max_cluster_tokens=max_cluster_tokens,
        epochs=epochs,
        seed=seed,
        num_threads=num_threads,
        on_progress=on_progress,
    )


def cluster_mergeit(
    vectors_ND: npt.NDArray[np.float32],
    reduced_NR: npt.NDArray[np.float32] | None = None,
    *,
    bounds: tuple[int, int],
    similarity: float = 0.8,
    keep: float = 1.0,
    num_topics: int = 0,
    tokens: npt.NDArray[np.uint32] | None = None,
    max_cluster_tokens: int | None = None,
    seed: int = 0,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """MergeIT's groups: topics by k-means, a filter by facility location, groups above a cosine.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, rows of length 1 or 0.
        reduced_NR: (N, R) float32, the same records for the topics, e.g. by PCA.
        bounds: Smallest and largest size of a group; (2, 5) there.
        similarity: Cosine to the group's first record that all others exceed.
        keep: Share of each topic that the filter keeps, in (0, 1].
        num_topics: 0 takes sqrt(N / 2).
        tokens: (N,) uint32, for `max_cluster_tokens`.
        max_cluster_tokens: Most tokens of a group together.
        seed: Of k-means.
        num_threads: 0 takes all cores.
        on_progress: Called with (phase, done, total).

    Returns:
        labels and fates as of `cluster_graph`.

    Raises:
        ArgumentError: A shape or range is wrong.
        DataError: A vector is not finite.

    Notes:
        O(N^1.5 D) time. Same labels at any number of threads.

    Source:
        MergeIT (arXiv 2503.00034).

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> vectors = np.eye(3, dtype=np.float32)[[0, 1, 0, 2]]
        >>> ops.cluster_mergeit(vectors, bounds=(2, 5), num_topics=1)[0]  # two are alike
        array([ 0, -1,  0, -1], dtype=int32)
    """
    return _rust.cluster_mergeit(
        vectors_ND,
        reduced_NR,
        bounds=bounds,
        similarity=similarity,
        keep=keep,
        num_topics=num_topics,
        tokens=tokens,
        max_cluster_tokens=max_cluster_tokens,
        seed=seed,
        num_threads=num_threads,
        on_progress=on_progress,
    )


def cluster_quality(
    vectors_ND: npt.NDArray[np.float32],
    labels_N: npt.NDArray[np.int32],
    indices_NK: npt.NDArray[np.int32] | None = None,
    similarities_NK: npt.NDArray[np.float32] | None = None,
    *,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """How good clusters are.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, rows of length 1 or 0.
        labels_N: (N,) int32, -1 outside.
        indices_NK: (N, K) int32 neighbours, for the last two shares.
        similarities_NK: (N, K) float32 cosines.
        num_threads: 0 takes all cores.
        on_progress: Called with (phase, done, total).

    Returns:
        `to_centroid` and `to_mates` (N,), `cluster_pair_cosine` and `sizes` (C,),
        `centroid_mean`, `centroid_p10`, `pair_mean` over all pairs in clusters, `junk_share` (mean
        cosine to mates < 0.3), `nearest_together` and `duplicates_together` (records whose nearest
        neighbour, or one above 0.9, shares their cluster) and `random_pair_mean`. NaN where there
        is nothing to measure.

    Raises:
        ArgumentError: Shapes differ.

    Notes:
        O(N D) time for small clusters; pair cosines are exact, from ||S||^2.

    Source:
        Ours.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> vectors = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
        >>> quality = ops.cluster_quality(vectors, np.array([0, 1, 0, 1], np.int32))
        >>> float(quality["pair_mean"]), float(quality["junk_share"])
        (1.0, 0.0)
    """
    return _rust.cluster_quality(
        vectors_ND,
        labels_N,
        indices_NK,
        similarities_NK,
        num_threads=num_threads,
        on_progress=on_progress,
    )
