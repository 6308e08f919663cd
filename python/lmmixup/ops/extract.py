"""The most informative, least redundant content of some records, as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmmixup import _rust

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from lmmixup.ops import OnProgress

LEFT = (None, "no-completion", "over-length")
"""Why a record did not go in; the first one did."""


@dataclass(frozen=True)
class Extracts:
    """What was taken of N groups of records, S records together.

    Attributes:
        prompts: (N) the questions of each group.
        completions: (N) its answers; empty where no record has one that fits.
        num_questions: (N,) int64, how many questions stand in it.
        left: (S,) uint8, why a record did not go in, as its place in `LEFT`.
        num_redundant: (N,) int64, sentences that said nothing new.
        num_fragments: (N,) int64, new ones too short to stand by themselves.
        num_over: (N,) int64, sentences that found no room.
    """

    prompts: list[str]
    completions: list[str]
    num_questions: NDArray[np.int64]
    left: NDArray[np.uint8]
    num_redundant: NDArray[np.int64]
    num_fragments: NDArray[np.int64]
    num_over: NDArray[np.int64]


def extract(
    prompts: pa.Array,
    completions: pa.Array,
    indptr: NDArray[np.int64],
    max_output_tokens: int,
    *,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> Extracts:
    """Takes the most informative, least redundant content of groups of records.

    Args:
        prompts: (S,) strings.
        completions: (S,) strings.
        indptr: (N + 1,) int64 from 0 to S; group i has the records `indptr[i]:indptr[i + 1]`,
            the most central first.
        max_output_tokens: Tokens of a completion, 4 UTF-8 bytes each.
        num_threads: Threads; 0 takes all.
        on_progress: Called with phase, done and total some ten times a second.

    Returns:
        A prompt and a completion for each group, and what was not taken and why.

    Raises:
        ArgumentError: `indptr` does not fit.
        DataError: `prompts` or `completions` is not a string column.

    Notes:
        Linear in the texts, and O(S log S) in the sentences of a group where most say something
        new. The same at any number of threads.

    Source:
        Ours; docs/decisions/0016-distillation.md.

    Example:
        >>> import numpy as np
        >>> import pyarrow as pa
        >>> from lmmixup import ops
        >>> asked = pa.array(["Why is the sky blue?", "why is the sky blue"])
        >>> told = pa.array(["Air scatters far more blue.", "Dust scatters red light too."])
        >>> ops.extract(asked, told, np.array([0, 2]), 100).completions
        ['Air scatters far more blue. Dust scatters red light too.']
    """
    taken = _rust.extract(prompts, completions, indptr, max_output_tokens, num_threads, on_progress)
    return Extracts(*taken)
