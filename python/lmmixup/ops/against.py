"""Records of one pool that are in another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmmixup import _rust
from lmmixup.ops.families import read_texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lmmixup.ops import OnProgress
    from lmmixup.ops.families import Normalize, Shingle


@dataclass(frozen=True)
class Matches:
    """Best matches of the N records of one pool in another.

    Attributes:
        container: (N,) int32, the record of the other pool with the highest containment, -1
            where nothing is shared.
        containment: (N,) float64 in 0 to 1.
        nearest: (N,) int32, the record with the highest Jaccard similarity, or -1.
        jaccard: (N,) float64 in 0 to 1.
    """

    container: npt.NDArray[np.int32]
    containment: npt.NDArray[np.float64]
    nearest: npt.NDArray[np.int32]
    jaccard: npt.NDArray[np.float64]


def matches(
    other: Iterable[pa.RecordBatch],
    pool: Iterable[pa.RecordBatch],
    *,
    shingle: Shingle = "auto",
    shingle_size: int = 5,
    normalize: Normalize = "lower",
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> tuple[Matches, Matches]:
    """How much of each record of `other` is in a record of `pool`.

    Args:
        other: Records as in `near_families`, such as an evaluation set.
        pool: Records as in `near_families`.
        shingle: See `near_families`.
        shingle_size: See `near_families`.
        normalize: See `near_families`.
        num_threads: See `near_families`.
        on_progress: See `near_families`.

    Returns:
        The matches of `other`'s records, and those of `pool`'s. Containment is the share of
        the *other* record's shingles that the pool's record has, in both.

    Raises:
        DataError: A batch lacks a column.
        ArgumentError: An argument is outside its range.

    Notes:
        Exact but for 64-bit hash collisions; the same at any number of threads. A record
        with fewer tokens than a shingle is found only where the other's whole text is equal.

    Source:
        Ours.

    Example:
        >>> import pyarrow as pa
        >>> question = pa.record_batch({"prompt": ["what is 2 and 2"], "completion": [""]})
        >>> long = pa.record_batch({"prompt": ["So: what is 2 and 2 ?"], "completion": ["4"]})
        >>> matches([question], [long])[0].containment.tolist()
        [1.0]
    """
    texts = read_texts(other, shingle, shingle_size, normalize, num_threads)
    num_other = len(texts)
    for batch in pool:
        texts.push(batch, num_threads)
    texts.seal()
    of_other, of_pool = _rust.matches(texts, num_other, num_threads, on_progress)
    return Matches(*of_other), Matches(*of_pool)
