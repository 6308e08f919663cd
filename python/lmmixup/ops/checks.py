"""What operations refuse before they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.errors import ArgumentError, DataError

if TYPE_CHECKING:
    import numpy.typing as npt


def check_least(least: int, **values: int) -> None:
    """Refuses numbers that are too small.

    Args:
        least: The smallest that may be.
        values: Numbers by the name that messages call them.

    Raises:
        ArgumentError: One is smaller.

    Example:
        >>> check_least(1, k=3)
    """
    for name, value in values.items():
        if value < least:
            raise ArgumentError(f"{name} must be at least {least}, got {value}")


def check_vectors(name: str, vectors: npt.NDArray[np.float32]) -> None:
    """Refuses what the compiled functions could only take by a copy.

    Args:
        name: What messages call them.
        vectors: Must be (N, D) float32, C-contiguous, D >= 1.

    Raises:
        DataError: They are not; says how to convert them.
    """
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise DataError(f"{name} must be 2-D (N, D) with D >= 1, got shape {vectors.shape}")
    if vectors.dtype != np.float32 or not vectors.flags.c_contiguous:
        layout = "C-contiguous" if vectors.flags.c_contiguous else "strided"
        raise DataError(
            f"{name} must be C-contiguous float32, got {layout} {vectors.dtype}; "
            f"pass np.ascontiguousarray({name}, np.float32)"
        )


def check_queries(queries_QD: npt.NDArray[np.float32], vectors_ND: npt.NDArray[np.float32]) -> None:
    """Refuses queries that cannot be compared with a pool.

    Args:
        queries_QD: As of `check_vectors`.
        vectors_ND: The pool, checked.

    Raises:
        DataError: As `check_vectors`, or they have another dimension than the pool.
    """
    check_vectors("queries", queries_QD)
    if queries_QD.shape[1] != vectors_ND.shape[1]:
        raise DataError(
            f"queries must have the dimension of the pool, {vectors_ND.shape[1]}, "
            f"got {queries_QD.shape[1]}; were they made by the same embedder?"
        )
