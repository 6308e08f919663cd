"""Families of records whose vectors are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from lmmixup import _rust
from lmmixup.errors import ArgumentError
from lmmixup.ops.families import Families, KeepRule
from lmmixup.ops.knn import EXACT_UP_TO, check_vectors

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
    method: Literal["auto", "exact", "blocks"] = "auto",
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
        method: `exact` compares all pairs; `blocks` those that share a coarse cell, which may
            miss some; `auto` takes `blocks` for more than `EXACT_UP_TO` rows. `figures` says
            which it was.
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
        out, double precision decides, so recall is 1. `blocks`: about O(N cell_size overlap D).
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
    for name, value, least in (
        ("cell_size", cell_size, 1),
        ("overlap", overlap, 1),
        ("recall_sample", recall_sample, 0),
        ("seed", seed, 0),
        ("num_threads", num_threads, 0),
    ):
        if value < least:
            raise ArgumentError(f"{name} must be at least {least}, got {value}")
    if method not in ("auto", "exact", "blocks"):
        raise ArgumentError(f"method must be auto, exact or blocks, got {method!r}")
    if method == "auto":
        method = "blocks" if len(vectors_ND) > EXACT_UP_TO else "exact"
    blocks = {
        "cell_size": cell_size,
        "overlap": overlap,
        "seed": seed,
        "recall_sample": recall_sample,
    }
    pool = _rust.ExactPool(normalize)
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
