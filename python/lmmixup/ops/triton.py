"""Neighbours and components on a GPU, by the kernels of the package `lmmixup-kernels`.

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
"""Queries of a launch, and rows that are rounded at a time."""

LONGEST = 1e15
"""Length above which single precision would overflow; the compiled functions refuse it too."""


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


def components(
    vectors_ND: npt.NDArray[np.float32],
    threshold: float,
    earlier: npt.NDArray[np.int64] | None = None,
    *,
    device: str = "cuda",
    backend: str | None = None,
) -> npt.NDArray[np.int64]:
    """Components of a graph that has every pair with cosine >= threshold, and a few below it.

    Args:
        vectors_ND: (N, D) float32, C-contiguous, finite, any length; a row of zeros has no pairs.
        threshold: Cosine in (0, 1].
        earlier: (N,) int64; records with the same number >= 0 are connected from the start.
        device: Where to compute.
        backend: Of the kernel; `None` takes Triton where it can run.

    Returns:
        (N,) int64, the lowest row of each row's component.

    Raises:
        DataError: NaN, an infinity, or a row longer than 1e15; names the row.

    Notes:
        N^2 D FLOPs on tensor cores: rows of length 1 are rounded to half precision. What that
        changes is measured for each row in double precision, and a pair counts from the threshold
        less both rows' errors and a bound on the sum's own, D 2^-22: none is missed. 2 N D bytes on
        the GPU; no list of pairs.

    Source:
        Ours.
    """
    import torch  # noqa: PLC0415 - heavy

    import lmmixup_kernels  # noqa: PLC0415 - not in the base install

    num_rows, dim = vectors_ND.shape
    half_ND = torch.empty((num_rows, dim), dtype=torch.float16, device=device)
    error_N = torch.empty(num_rows, dtype=torch.float64, device=device)
    zero_N = torch.empty(num_rows, dtype=torch.bool, device=device)
    for start in range(0, num_rows, ROWS):
        rows = slice(start, start + ROWS)
        unit_RD = torch.from_numpy(vectors_ND[rows].copy()).to(device).double()
        length_R = torch.linalg.vector_norm(unit_RD, dim=1)
        _check_lengths("vectors", length_R.cpu().numpy(), start)
        zero_N[rows] = length_R == 0
        unit_RD /= torch.where(zero_N[rows], 1.0, length_R)[:, None]
        half_ND[rows] = unit_RD
        error_N[rows] = torch.linalg.vector_norm(half_ND[rows].double() - unit_RD, dim=1)
    grown = 1 + (error_N.max() if num_rows else 0)
    slack_N = error_N * grown + dim * 2.0**-23 * grown**2 + 1e-6
    slack_N[zero_N] = -torch.inf
    groups = None if earlier is None else torch.from_numpy(earlier).to(device)
    found = lmmixup_kernels.components(
        half_ND, threshold, slack=slack_N.float(), groups=groups, backend=backend
    )
    component_N: npt.NDArray[np.int64] = found.cpu().numpy()
    return component_N


def _check_lengths(name: str, length_N: npt.NDArray[np.float64], first_row: int = 0) -> None:
    usable = length_N <= LONGEST
    if usable.all():
        return
    row = int(np.flatnonzero(~usable)[0])
    if np.isfinite(length_N[row]):
        raise DataError(
            f"{name} must be no longer than 1e15, row {first_row + row} is longer; normalise them"
        )
    raise DataError(f"{name} must be finite, row {first_row + row} is not")


def _unit(name: str, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows of length 1; rows of zeros stay."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    _check_lengths(name, length)
    divisor = np.where(length > 0, length, 1).astype(np.float32)
    made: npt.NDArray[np.float32] = np.divide(vectors, divisor[:, None])
    return made
