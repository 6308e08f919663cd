"""Families of records whose vectors are alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from lmmixup import _rust
from lmmixup.errors import ArgumentError
from lmmixup.ops import triton
from lmmixup.ops.checks import check_least, check_vectors
from lmmixup.ops.families import Families, KeepRule
from lmmixup.ops.knn import EXACT_UP_TO, check_gpu, is_for_gpu
from lmmixup.ops.parts import families_in_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lmmixup.ops import OnProgress
    from lmmixup.ops.families import Normalize


def semantic_families(
    batches: Iterable[pa.RecordBatch],
    vectors_ND: npt.NDArray[np.float32],
    *,
    threshold: float = 0.95,
    method: Literal["auto", "exact", "blocks", "triton"] = "auto",
    cell_size: int = 8192,
    overlap: int = 2,
    recall_sample: int = 1000,
    seed: int = 0,
    normalize: Normalize = "lower",
    rule: KeepRule | None = None,
    earlier: npt.NDArray[np.int64] | None = None,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> Families:
    """Families of records that are connected by pairs with cosine >= threshold.

    Args:
        batches: Records with string columns `prompt`, `completion` and, for ties, `id`.
        vectors_ND: (N, D) float32, C-contiguous, finite, one row a record, of any length; a
            row of zeros (a record without text) is alike to nothing.
        threshold: Cosine in (0, 1].
        method: `exact` compares all pairs; `triton` too, on a GPU; `blocks` those that share a
            coarse cell, which may miss some. `auto` takes `triton` for more than `GPU_FROM` pairs
            where a GPU and the package lmmixup-kernels are there, else `blocks` for more than
            `EXACT_UP_TO` rows. `figures` says which it was.
        cell_size: For `blocks`, mean number of rows in a cell.
        overlap: For `blocks`, cells of a row.
        recall_sample: For `blocks`, vectors whose pairs are all looked up to measure the recall.
        seed: Of the cells and of that sample.
        normalize: How texts are compared for `same_text`, as in `exact_families`.
        rule: Which records of a family stay.
        earlier: (N,) int64; records with the same number >= 0 are one family from the start.
        num_threads: Threads; 0 takes all cores. The result is the same at any number.
        on_progress: Called with (phase, done, total) every 100 ms.

    Returns:
        The families, with cosines as similarities. `figures` has `search`, and for `blocks`
        `pair_recall` (share of a sample's pairs that are in one family; `None` where the sample
        has no pair), `recall_sample` and `sampled_pairs`.

    Raises:
        DataError: Vectors of another type, shape or layout, or NaN (names the row); a batch lacks
            a column.
        ArgumentError: An argument is outside its range, or there is not one vector a record.

    Notes:
        `exact`: O(N^2 D / 2), no N x N matrix; 8-bit products with a proved bound rule pairs
        out, double precision decides, so recall is 1. `triton`: the same families, from components
        of all pairs that half precision does not rule out; the same code then decides within
        them, O(M (4,096 + F) D / 2) for M rows in components, the largest of F. `blocks`: about
        O(N cell_size overlap D).
        No false drops in either: a dropped record names a kept one at the threshold.

    Source:
        Ours.

    Example:
        >>> import numpy as np, pyarrow as pa
        >>> batch = pa.record_batch({"prompt": ["a cat", "cats", "sum"], "completion": [""] * 3})
        >>> vectors = np.array([[1, 0.1], [1, 0], [0, 1]], np.float32)
        >>> semantic_families([batch], vectors).partner.tolist()
        [-1, 0, -1]
    """
    check_vectors("vectors", vectors_ND)
    check_least(1, cell_size=cell_size, overlap=overlap)
    check_least(0, recall_sample=recall_sample, seed=seed, num_threads=num_threads)
    if method not in ("auto", "exact", "blocks", "triton"):
        raise ArgumentError(f"method must be auto, exact, blocks or triton, got {method!r}")
    if method == "auto":
        method = _choose(vectors_ND)
    if method == "triton":
        return _by_gpu(
            batches,
            vectors_ND,
            threshold=threshold,
            normalize=normalize,
            rule=rule or KeepRule(),
            earlier=earlier,
            num_threads=num_threads,
            on_progress=on_progress,
        )
    blocks = {
        "cell_size": cell_size,
        "overlap": overlap,
        "seed": seed,
        "recall_sample": recall_sample,
    }
    pool = _rust.ExactPool(normalize, lengths=True)
    for batch in batches:
        pool.push(batch, num_threads)
    families, recall = _rust.semantic_families(
        pool,
        vectors_ND,
        threshold,
        blocks if method == "blocks" else None,
        (rule or KeepRule()).resolve(),
        earlier,
        num_threads,
        on_progress,
    )
    return Families(*families, figures=_figures(method, recall))


def _choose(vectors_ND: npt.NDArray[np.float32]) -> Literal["exact", "blocks", "triton"]:
    if is_for_gpu(vectors_ND, len(vectors_ND)):
        return "triton"
    return "blocks" if len(vectors_ND) > EXACT_UP_TO else "exact"


def _by_gpu(
    batches: Iterable[pa.RecordBatch],
    vectors_ND: npt.NDArray[np.float32],
    *,
    threshold: float,
    normalize: Normalize,
    rule: KeepRule,
    earlier: npt.NDArray[np.int64] | None,
    num_threads: int,
    on_progress: OnProgress | None,
) -> Families:
    """As `exact`, but a GPU says first which records can be in one family at all."""
    check_gpu("method", vectors_ND)
    if not 0 < threshold <= 1:
        raise ArgumentError(f"threshold must be in (0, 1], got {threshold}")
    if earlier is not None and len(earlier) != len(vectors_ND):
        raise ArgumentError(f"expected {len(vectors_ND)} earlier families, got {len(earlier)}")
    if on_progress is not None:
        on_progress("compare all pairs on the GPU", 0, 1)
    component_N = triton.components(vectors_ND, threshold, earlier)

    def compare(
        texts: _rust.ExactPool, rows_M: npt.NDArray[np.int64], rule: dict[str, Any]
    ) -> Families:
        together = None if earlier is None else earlier[rows_M]
        families, _ = _rust.semantic_families(
            texts, vectors_ND[rows_M], threshold, None, rule, together, num_threads, None
        )
        return Families(*families)

    found = families_in_parts(
        batches,
        component_N,
        compare,
        normalize=normalize,
        rule=rule,
        num_threads=num_threads,
        on_progress=on_progress,
    )
    return replace(found, figures=_figures("triton", None))


def _figures(method: str, recall: tuple[int, int, int] | None) -> dict[str, Any]:
    if recall is None:
        return {"search": method}
    num_sampled, num_pairs, num_connected = recall
    return {
        "search": method,
        "pair_recall": round(num_connected / num_pairs, 6) if num_pairs else None,
        "recall_sample": num_sampled,
        "sampled_pairs": num_pairs,
    }
