"""Nearest neighbours by cosine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from lmmixup import _rust
from lmmixup.errors import ArgumentError
from lmmixup.ops import triton
from lmmixup.ops.checks import check_least, check_queries, check_vectors

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmmixup.ops import OnProgress


@dataclass(frozen=True)
class Neighbours:
    """The nearest of each of Q queries, by cosine.

    Attributes:
        idx_QK: (Q, K) int32, nearest first, ties by lower index; -1 where there are fewer.
        sim_QK: (Q, K) float32, their cosines; 0 where there is no neighbour.
        method: What was used: `exact`, `blocks`, `usearch` or `triton`.
        recall: Share of the true K nearest that was found, on a sample; 1.0 where exact,
            `None` where it was not measured.
        num_sampled: Rows of that sample.
    """

    idx_QK: npt.NDArray[np.int32]  # noqa: N815
    sim_QK: npt.NDArray[np.float32]  # noqa: N815
    method: Literal["exact", "blocks", "usearch", "triton"]
    recall: float | None
    num_sampled: int


class Prepared:
    """Vectors that are checked, measured and coded once, to be asked often.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, finite; kept, not copied, and not to be changed.
        num_threads: 0 takes all cores.

    Raises:
        DataError: Another type, shape or memory layout, or NaN or an infinity (names the row).

    Notes:
        Memory: N D bytes beside the vectors.

    Source:
        Ours.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> ready = ops.Prepared(np.eye(3, dtype=np.float32))
        >>> ready.nearest(np.array([[0, 2, 1]], np.float32), k=2).idx_QK.tolist()
        [[1, 2]]
    """

    def __init__(self, vectors_ND: npt.NDArray[np.float32], *, num_threads: int = 0) -> None:
        check_vectors("vectors", vectors_ND)
        self.vectors_ND = vectors_ND
        self._codes = _rust.KnnPrepared(vectors_ND, num_threads)

    def __len__(self) -> int:
        """Number of vectors."""
        return len(self.vectors_ND)

    def nearest(
        self,
        queries_QD: npt.NDArray[np.float32],
        k: int,
        *,
        method: Literal["auto", "exact", "triton"] = "exact",
        num_threads: int = 0,
        on_progress: OnProgress | None = None,
    ) -> Neighbours:
        """Finds the `k` nearest vectors of each query.

        Args:
            queries_QD: (Q, D) float32, C-contiguous, finite.
            k: Neighbours, at least 1.
            method: `exact` has the bits of `knn(method="exact")`; `triton` finds the same on a GPU,
                to single precision, and leaves the vectors there; `auto` takes it where `knn` does.
            num_threads: 0 takes all cores.
            on_progress: Called with phase, done and total.

        Raises:
            DataError: As `knn` says.
            ArgumentError: `k` is out of range, or `triton` cannot run here.
        """
        check_queries(queries_QD, self.vectors_ND)
        check_least(1, k=k)
        if whole_method(method, self.vectors_ND, len(queries_QD), k) == "triton":
            idx_QK, sim_QK = self._on_gpu.nearest(k, queries_QD, on_progress=on_progress)
            return Neighbours(idx_QK, sim_QK, "triton", 1.0, 0)
        idx_QK, sim_QK = self._codes.nearest(
            self.vectors_ND, queries_QD, k, num_threads=num_threads, on_progress=on_progress
        )
        return Neighbours(idx_QK, sim_QK, "exact", 1.0, 0)

    @cached_property
    def _on_gpu(self) -> triton.Library:
        return triton.Library(self.vectors_ND)


EXACT_UP_TO = 150_000
"""Rows up to which `knn(method="auto")` compares a pool with itself exactly."""

GRAPH_FROM = 500_000
"""Rows, and queries, from both of which on a graph is built for queries by `knn(method="auto")`."""

GPU_FROM = 1_000_000_000
"""Pairs above which `knn(method="auto")` takes a GPU, where there is one."""

INDEX = {"connectivity": 16, "expansion": 128}
"""The graph that `knn(method="usearch")` builds."""


def knn(
    vectors_ND: npt.NDArray[np.float32],
    k: int,
    queries_QD: npt.NDArray[np.float32] | None = None,
    *,
    method: Literal["auto", "exact", "blocks", "usearch", "triton"] = "auto",
    cell_size: int = 2048,
    overlap: int = 10,
    recall_sample: int = 0,
    seed: int = 0,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> Neighbours:
    """Finds the `k` nearest vectors by cosine.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, finite. Need not have length 1; a row of
            zeros (a record without text) has cosine 0 with everything.
        k: Neighbours of each query, at least 1. May exceed the pool.
        queries_QD: (Q, D) float32 likewise; `None` compares the pool with itself, and a row
            is not its own neighbour.
        method: `exact` by brute force; `blocks` by coarse cells that overlap, approximate,
            only for a pool with itself; `usearch` by a graph, approximate, which `Index` keeps
            for the next time; `triton` by brute force on a GPU. `auto` takes `triton` for more
            than `GPU_FROM` pairs where a GPU and the package lmmixup-kernels are there, else
            `blocks` for a pool with itself of more than `EXACT_UP_TO` rows, `usearch` where rows
            and queries both reach `GRAPH_FROM`, and `exact` otherwise. The result says which it
            was.
        cell_size: For `blocks`, mean number of rows in a cell.
        overlap: For `blocks`, cells of a row. More of either: higher recall, more time.
        recall_sample: Rows on which the recall of an approximate method is measured; 0 does not.
        seed: Of the cells and of that sample.
        num_threads: 0 takes all cores.
        on_progress: Called with phase, units done and total, ten times a second.

    Returns:
        The neighbours, how they were found, and the measured recall.

    Raises:
        DataError: Another type, shape or memory layout, another dimension than the pool's,
            or NaN or an infinity (names the row).
        ArgumentError: `k` or an option out of range, or `blocks` with queries.

    Notes:
        `exact` costs O(Q N D), half of it for a pool with itself; integer products with a
        proved error bound sort out what cannot be near, single precision decides. `blocks`
        compares what shares a cell, then each row with the neighbours of its neighbours, in about
        O(N · cell_size · overlap · D). `usearch` builds in one thread, so that the
        result does not depend on threads. None has an N x N matrix; inputs are not copied.
        Same bits at any number of threads for a seed.

    Source:
        Ours.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> found = ops.knn(np.array([[1, 0], [0, 1], [1, 1]], np.float32), k=1)
        >>> found.idx_QK.tolist(), found.method
        ([[2], [2], [0]], 'exact')
    """
    check_vectors("vectors", vectors_ND)
    if queries_QD is not None:
        check_queries(queries_QD, vectors_ND)
    check_least(1, k=k, cell_size=cell_size, overlap=overlap)
    check_least(0, recall_sample=recall_sample, num_threads=num_threads, seed=seed)
    if method not in ("auto", "exact", "blocks", "usearch", "triton"):
        raise ArgumentError(
            f"method must be auto, exact, blocks, usearch or triton, got {method!r}"
        )
    if method == "blocks" and queries_QD is not None:
        raise ArgumentError("method blocks compares a pool with itself; use exact for queries")
    if method == "auto":
        method = _choose(vectors_ND, k, queries_QD)
    if method == "triton":
        check_gpu("method", vectors_ND, k)
        idx_QK, sim_QK = triton.nearest(vectors_ND, k, queries_QD, on_progress=on_progress)
    elif method == "exact":
        idx_QK, sim_QK = _rust.knn_exact(
            vectors_ND, queries_QD, k, num_threads=num_threads, on_progress=on_progress
        )
    elif method == "usearch":
        idx_QK, sim_QK = _by_graph(vectors_ND, k, queries_QD, num_threads, on_progress)
    else:
        idx_QK, sim_QK = _rust.knn_blocks(
            vectors_ND,
            k,
            cell_size=cell_size,
            overlap=overlap,
            seed=seed,
            num_threads=num_threads,
            on_progress=on_progress,
        )
    recall, num_sampled = (1.0 if method in ("exact", "triton") else None), 0
    if recall_sample and recall is None:
        recall, num_sampled = measure_recall(
            vectors_ND,
            queries_QD,
            sim_QK,
            sample=recall_sample,
            seed=seed,
            num_threads=num_threads,
            on_progress=on_progress,
        )
    return Neighbours(idx_QK, sim_QK, method, recall, num_sampled)


def _choose(
    vectors_ND: npt.NDArray[np.float32], k: int, queries_QD: npt.NDArray[np.float32] | None
) -> Literal["exact", "blocks", "usearch", "triton"]:
    if is_for_gpu(vectors_ND, len(vectors_ND if queries_QD is None else queries_QD), k):
        return "triton"
    if queries_QD is None:
        return "blocks" if len(vectors_ND) > EXACT_UP_TO else "exact"
    return "usearch" if min(len(vectors_ND), len(queries_QD)) >= GRAPH_FROM else "exact"


def is_for_gpu(vectors_ND: npt.NDArray[np.float32], num_queries: int, k: int = 1) -> bool:
    """Whether there is enough to compare for a GPU, and one that can.

    Args:
        vectors_ND: (N, D) float32.
        num_queries: Vectors that they are compared with.
        k: Neighbours that are wanted.
    """
    large = len(vectors_ND) * num_queries > GPU_FROM and k <= triton.MOST_K
    return large and triton.why_not(vectors_ND.nbytes) is None


def whole_method(
    method: Literal["auto", "exact", "triton"],
    vectors_ND: npt.NDArray[np.float32],
    num_queries: int,
    k: int,
) -> Literal["exact", "triton"]:
    """Where everything is compared with everything: here or on a GPU.

    Args:
        method: What was asked; `auto` takes the GPU where `knn` does.
        vectors_ND: (N, D) float32.
        num_queries: Vectors that they are compared with.
        k: Neighbours that are wanted.

    Raises:
        ArgumentError: Another method, or `triton` where it cannot run.
    """
    if method == "auto":
        return "triton" if is_for_gpu(vectors_ND, num_queries, k) else "exact"
    if method not in ("exact", "triton"):
        raise ArgumentError(f"method must be auto, exact or triton, got {method!r}")
    if method == "triton":
        check_gpu("method", vectors_ND, k)
    return method


def check_gpu(name: str, vectors_ND: npt.NDArray[np.float32], k: int = 1) -> None:
    """Refuses `triton` where it cannot run.

    Args:
        name: Of the argument that asked for it.
        vectors_ND: (N, D) float32.
        k: Neighbours that are wanted.

    Raises:
        ArgumentError: Says why.
    """
    if k > triton.MOST_K:
        raise ArgumentError(
            f"{name} triton keeps 1..{triton.MOST_K} neighbours, got k = {k}; use exact"
        )
    if (reason := triton.why_not(vectors_ND.nbytes)) is not None:
        raise ArgumentError(f"{name} triton cannot run here: {reason}; use auto or exact")


def _by_graph(
    vectors_ND: npt.NDArray[np.float32],
    k: int,
    queries_QD: npt.NDArray[np.float32] | None,
    num_threads: int,
    on_progress: OnProgress | None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    graph = _rust.Index.build(
        vectors_ND, dtype="f16", reproducible=True, on_progress=on_progress, **INDEX
    )
    return graph.search(
        vectors_ND if queries_QD is None else queries_QD,
        k,
        expansion=INDEX["expansion"],
        vectors=vectors_ND,
        itself=queries_QD is None,
        num_threads=num_threads,
        on_progress=on_progress,
    )


def measure_recall(
    vectors_ND: npt.NDArray[np.float32],
    queries_QD: npt.NDArray[np.float32] | None,
    sim_QK: npt.NDArray[np.float32],
    *,
    sample: int,
    seed: int,
    num_threads: int,
    on_progress: OnProgress | None,
) -> tuple[float, int]:
    """Share of the true neighbours that were found, over a seeded sample of the queries.

    Args:
        vectors_ND: (N, D) float32.
        queries_QD: (Q, D) float32; `None` for the pool itself.
        sim_QK: (Q, K) float32 cosines that were found.
        sample: Queries that are drawn.
        seed: Draws them.
        num_threads: 0 takes all cores.
        on_progress: Called with phase, units done and total, ten times a second.

    Returns:
        The recall, and how many queries it is over. What is as near as the true k-th counts:
        ties have no right order here.
    """
    if queries_QD is None:
        return _rust.knn_recall(
            vectors_ND,
            sim_QK,
            sample=sample,
            seed=seed,
            num_threads=num_threads,
            on_progress=on_progress,
        )
    num = min(sample, len(queries_QD))
    rows = np.sort(np.random.default_rng(seed).choice(len(queries_QD), num, replace=False))
    asked = np.ascontiguousarray(queries_QD[rows])
    k, wanted = sim_QK.shape[1], min(sim_QK.shape[1], len(vectors_ND))
    _, true_SK = _rust.knn_exact(
        vectors_ND, asked, k, num_threads=num_threads, on_progress=on_progress
    )
    if wanted == 0 or num == 0:
        return 1.0, num
    hits = sim_QK[rows, :wanted] >= true_SK[:, wanted - 1 : wanted]
    return float(hits.mean()), num
