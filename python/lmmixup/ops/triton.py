"""Neighbours on a GPU, by the kernels of the package `lmmixup-kernels`.

Shapes: N vectors, Q queries, D dimensions, K neighbours.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import ArgumentError, DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmmixup.ops import OnProgress

MOST_K = 127
"""Neighbours of a row that the kernel can keep, with one to spare."""

ROWS = 16_384
"""Queries of a launch."""


@cache
def why_not() -> str | None:
    """Why there are no neighbours by GPU here; `None` if there are.

    Notes:
        Torch is only imported where `lmmixup-kernels` is installed.
    """
    if importlib.util.find_spec("lmmixup_kernels") is None:
        return "the package lmmixup-kernels is not installed"
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    import torch  # noqa: PLC0415 - heavy

    return None if torch.cuda.is_available() else "torch sees no GPU"


def nearest(
    vectors_ND: npt.NDArray[np.float32],
    k: int,
    queries_QD: npt.NDArray[np.float32] | None,
    *,
    on_progress: OnProgress | None = None,
    device: str = "cuda",
    backend: str | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The `k` nearest vectors by cosine, all compared with all, summed in fp32.

    Args:
        vectors_ND: (N, D) float32, finite, any length.
        k: 1..127.
        queries_QD: (Q, D); `None` compares the pool with itself, without the row itself.
        on_progress: Called with phase, queries done and all.
        device: Where to compute.
        backend: Of the kernel; `None` takes Triton where it can run.

    Returns:
        (Q, K) int32 rows, -1 where there are fewer, and (Q, K) float32 cosines.

    Raises:
        DataError: NaN or an infinity; names the row.
        ArgumentError: `k` out of range.

    Notes:
        2 Q N D FLOPs; the vectors are on the GPU once, in float32.

    Source:
        Ours.
    """
    import torch  # noqa: PLC0415 - heavy

    from lmmixup_kernels import streaming_topk  # noqa: PLC0415 - not in the base install

    if not 1 <= k <= MOST_K:
        raise ArgumentError(f"method triton keeps 1..{MOST_K} neighbours, got k = {k}; use exact")
    library = torch.from_numpy(_unit("vectors", vectors_ND)).to(device)
    asked = library if queries_QD is None else torch.from_numpy(_unit("queries", queries_QD))
    idx_QK = np.empty((len(asked), k), np.int32)
    sim_QK = np.empty((len(asked), k), np.float32)
    for start in range(0, len(asked), ROWS):
        rows = slice(start, start + ROWS)
        own: dict[str, Any] = {"itself_from": start} if queries_QD is None else {}
        found = streaming_topk(asked[rows].to(device), library, k, backend=backend, **own)
        idx_QK[rows], sim_QK[rows] = found.indices.cpu().numpy(), found.scores.cpu().numpy()
        if on_progress is not None:
            on_progress("neighbours", min(start + ROWS, len(asked)), len(asked))
    return idx_QK, sim_QK


def _unit(name: str, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows of length 1; rows of zeros stay."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    if not np.isfinite(length).all():
        row = int(np.flatnonzero(~np.isfinite(length))[0])
        raise DataError(f"{name} must be finite, row {row} is not")
    divisor = np.where(length > 0, length, 1).astype(np.float32)
    made: npt.NDArray[np.float32] = np.divide(vectors, divisor[:, None])
    return made
