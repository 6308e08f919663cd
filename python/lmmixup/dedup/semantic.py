"""`--semantic`: duplicates by what vectors say, whatever the words are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from lmmixup import ops
from lmmixup.embed import embed_pool
from lmmixup.ops import triton
from lmmixup.ops.knn import whole_method

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    import pyarrow as pa

    from lmmixup.dedup.config import DedupConfig
    from lmmixup.embed import Embedded
    from lmmixup.progress import Reporter
    from lmmixup.records import Records

RECALL_SAMPLE = 1000
"""Vectors on which it is measured how many pairs cells missed."""

ROWS_AT_A_TIME = 65_536


def semantic_families(
    records: Records,
    batches: Iterable[pa.RecordBatch],
    config: DedupConfig,
    *,
    rule: ops.KeepRule,
    earlier: npt.NDArray[np.int64] | None,
    num_threads: int,
    reporter: Reporter,
) -> ops.Families:
    """Families by cosine, with the embedder named in their figures.

    Args:
        records: What is embedded.
        batches: The same records with what the rule needs.
        config: Embedder, threshold, and which pairs are compared.
        rule: Which record of a family stays.
        earlier: As in `ops.semantic_families`.
        num_threads: Threads; 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        The families.
    """
    embedded = embed_pool(
        records, config.embed_config(), num_threads=num_threads, reporter=reporter
    )
    found = ops.semantic_families(
        batches,
        embedded.vectors_ND,
        threshold=config.threshold,
        method=config.search,
        recall_sample=RECALL_SAMPLE,
        seed=config.seed,
        normalize=config.normalize,
        rule=rule,
        earlier=earlier,
        num_threads=num_threads,
        on_progress=reporter,
    )
    return replace(found, figures={**found.figures, **embedding_figures(embedded)})


def embedding_figures(embedded: Embedded) -> dict[str, object]:
    """What the manifest says of vectors: what made them, and how many say nothing."""
    vectors_ND = embedded.vectors_ND
    return {
        "embedder": str(embedded.identity["embedder"]),
        "identity": embedded.identity,
        "records_without_text": int((~vectors_ND.any(axis=1)).sum()) if len(vectors_ND) else 0,
    }


def nearest(
    queries_QD: npt.NDArray[np.float32],
    vectors_ND: npt.NDArray[np.float32],
    *,
    method: Literal["auto", "exact", "triton"] = "auto",
    num_threads: int,
    reporter: Reporter,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], Literal["exact", "triton"]]:
    """The nearest vector of each query, by comparison with all.

    Args:
        queries_QD: (Q, D) float32.
        vectors_ND: (N, D) float32.
        method: `triton` takes a GPU, and asks again here where the two nearest are so near that
            rounding decides: the result is the same.
        num_threads: Threads; 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        (Q,) indices, -1 where no cosine is above 0, (Q,) cosines in double precision, 0 there,
        and how they were found.
    """

    def exactly(queries_QD: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        found = ops.knn(
            vectors_ND,
            1,
            queries_QD,
            method="exact",
            num_threads=num_threads,
            on_progress=reporter,
        )
        return np.where(found.sim_QK[:, 0] > 0, found.idx_QK[:, 0], np.int32(-1))

    used = whole_method(method, vectors_ND, len(queries_QD), 2)
    if used == "exact" or not len(vectors_ND):
        index = exactly(queries_QD)
    else:
        index, sure = triton.nearest_of_all(vectors_ND, queries_QD, on_progress=reporter)
        index[~sure] = exactly(queries_QD[~sure])
    cosine = np.zeros(len(index))
    for start in range(0, len(index), ROWS_AT_A_TIME):
        rows = start + np.flatnonzero(index[start : start + ROWS_AT_A_TIME] >= 0)
        cosine[rows] = _cosines(queries_QD[rows], vectors_ND[index[rows]])
    return index, cosine, used


def _cosines(
    left_ND: npt.NDArray[np.float32], right_ND: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Cosine of each row with its partner; exactly 1 for equal rows."""

    def products(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        sums: npt.NDArray[np.float64] = np.einsum("nd,nd->n", a, b)
        return sums

    left, right = left_ND.astype(np.float64), right_ND.astype(np.float64)
    lengths = np.sqrt(products(left, left) * products(right, right))
    return np.minimum(products(left, right) / lengths, 1.0)
