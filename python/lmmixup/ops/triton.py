"""Neighbours and components on a GPU, by the kernels of the package `lmmixup-kernels`.

Shapes: N vectors, Q queries, D dimensions, K neighbours.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmmixup.ops import OnProgress

MOST_K = 127
"""Neighbours of a row that the kernel can keep, with one to spare."""

ROWS = 16_384
"""Queries of a launch, and rows that are rounded at a time."""

WORKSPACE = 1 << 30
"""Bytes of the GPU that are left free for queries and results."""

COPIES = 1.5
"""Of the vectors on the GPU: as they are, and in half precision."""

LONGEST = 1e15
"""Length above which single precision would overflow; the compiled functions refuse it too."""


def why_not(num_bytes: int = 0) -> str | None:
    """Why there are no neighbours by GPU here; `None` if there are.

    Args:
        num_bytes: Of vectors that have to fit into the GPU's free memory, `COPIES` times.

    Notes:
        Torch is only imported where `lmmixup-kernels` is installed.
    """
    if (reason := _why_never()) is not None or not num_bytes:
        return reason
    import torch  # noqa: PLC0415 - heavy

    free, _ = torch.cuda.mem_get_info()
    needed = int(COPIES * num_bytes) + WORKSPACE
    if needed <= free:
        return None
    return f"{needed / 1e9:.1f} GB for vectors do not fit into the GPU's free {free / 1e9:.1f} GB"


@cache
def _why_never() -> str | None:
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
    """The `k` nearest vectors by cosine, as a `Library` gives them that is asked once.

    Args:
        vectors_ND: (N, D) float32, finite, any length.
        k: 1..127.
        queries_QD: (Q, D); `None` compares the pool with itself, without the row itself.
        on_progress: Called with phase, queries done and all.
        device: Where to compute.
        backend: Of the kernel; `None` takes Triton where it can run.

    Returns:
        As `Library.nearest`.

    Raises:
        DataError: NaN or an infinity; names the row.

    Source:
        Ours.
    """
    library = Library(vectors_ND, device=device, backend=backend)
    return library.nearest(k, queries_QD, on_progress=on_progress)


class Library:
    """Vectors on a GPU, to be asked often.

    Args:
        vectors_ND: (N, D) float32, finite, any length.
        device: Where to compute.
        backend: Of the kernel; `None` takes Triton where it can run.

    Raises:
        DataError: NaN or an infinity; names the row.

    Notes:
        6 N D bytes on the GPU.

    Source:
        Ours.
    """

    def __init__(
        self, vectors_ND: npt.NDArray[np.float32], *, device: str = "cuda",
        backend: str | None = None,
    ) -> None:  # fmt: skip
        import torch  # noqa: PLC0415 - heavy

        from lmmixup_kernels import screen  # noqa: PLC0415 - not in the base install

        self._screen = screen(torch.from_numpy(_unit("vectors", vectors_ND)).to(device))
        self._backend = backend

    def nearest(
        self,
        k: int,
        queries_QD: npt.NDArray[np.float32] | None,
        *,
        on_progress: OnProgress | None = None,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """The `k` nearest vectors by cosine in fp32, all compared with all.

        Args:
            k: 1..127.
            queries_QD: (Q, D); `None` takes the vectors themselves, each without itself.
            on_progress: Called with phase, queries done and all.

        Returns:
            (Q, K) int32 rows, -1 where there are fewer, and (Q, K) float32 cosines.

        Raises:
            DataError: NaN or an infinity; names the row.

        Notes:
            2 Q N D FLOPs, on tensor cores up to 120 neighbours: half precision, with a bound on its
            error, rules out what is not near, and fp32 decides. For more, in fp32.
        """
        import torch  # noqa: PLC0415 - heavy

        from lmmixup_kernels import screened_topk, streaming_topk  # noqa: PLC0415
        from lmmixup_kernels.screen import MOST_SCREENED  # noqa: PLC0415

        rows, itself = self._screen.rows, queries_QD is None
        asked = rows if queries_QD is None else torch.from_numpy(_unit("queries", queries_QD))
        idx_QK = np.empty((len(asked), k), np.int32)
        sim_QK = np.empty((len(asked), k), np.float32)
        for start in range(0, len(asked), ROWS):
            part = slice(start, start + ROWS)
            own: dict[str, Any] = {"itself_from": start} if itself else {}
            queries = asked[part].to(rows.device)
            own["backend"] = self._backend
            found: Any = (
                screened_topk(queries, self._screen, k, **own)
                if k <= MOST_SCREENED
                else streaming_topk(queries, rows, k, **own)
            )
            idx_QK[part], sim_QK[part] = found.indices.cpu().numpy(), found.scores.cpu().numpy()
            if on_progress is not None:
                on_progress("neighbours", min(start + ROWS, len(asked)), len(asked))
        return idx_QK, sim_QK


def nearest_of_all(
    vectors_ND: npt.NDArray[np.float32],
    queries_QD: npt.NDArray[np.float32],
    *,
    on_progress: OnProgress | None = None,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """The nearest vector of each query, and whether any order of summation would find the same.

    Args:
        vectors_ND: (N, D) float32, N at least 1.
        queries_QD: (Q, D) float32.
        on_progress: Called with phase, queries done and all.

    Returns:
        (Q,) int32 rows, of equal vectors the first, -1 where no cosine is above 0; and (Q,) bool,
        false where the second is so near, or the cosine so near to 0, that rounding decides.

    Raises:
        DataError: NaN or an infinity; names the row.

    Notes:
        A cosine in single precision is off by D 2^-23 at most, however it is summed, and by 4e-6
        for rows that were scaled before; two of them, of two ways to sum, differ by twice that.

    Source:
        Ours.
    """
    row_bytes = np.dtype((np.void, vectors_ND.shape[1] * vectors_ND.itemsize))
    _, first = np.unique(vectors_ND.view(row_bytes)[:, 0], return_index=True)
    first.sort()
    idx_Q2, sim_Q2 = nearest(vectors_ND[first], 2, queries_QD, on_progress=on_progress)
    margin = 4 * (vectors_ND.shape[1] * 2.0**-23 + 4e-6)
    second_Q = np.where(idx_Q2[:, 1] < 0, -np.inf, sim_Q2[:, 1])
    sure_Q = (sim_Q2[:, 0] > margin) & (sim_Q2[:, 0] - second_Q > margin)
    sure_Q |= (sim_Q2[:, 0] < -margin) | ~queries_QD.any(axis=1)
    index_Q = np.where(sim_Q2[:, 0] > 0, first[idx_Q2[:, 0]], -1).astype(np.int32)
    return index_Q, sure_Q


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
