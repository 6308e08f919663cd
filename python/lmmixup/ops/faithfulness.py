"""What made records keep of their sources, and what they say that none of them does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lmmixup import _rust, english

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from lmmixup.ops import OnProgress

KINDS = ("number", "name", "negation")
"""What is looked for."""


@dataclass(frozen=True)
class Faithfulness:
    """How N made records stand to their S sources.

    Attributes:
        coverage: (S,) float64, the share of each source's content that its record has, 0..1; 1 for
            a source without content.
        indptr: (N + 1,) int64; record i has the findings `indptr[i]` to `indptr[i + 1]`.
        kinds: (F,) uint8, what is found in no source, as its place in `KINDS`.
        texts: (F) its words: a number in lower case, names and negations as in the record.
    """

    coverage: NDArray[np.float64]
    indptr: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    texts: list[str]


def check_faithfulness(
    made: pa.Array,
    sources: pa.Array,
    indptr: NDArray[np.int64],
    *,
    num_threads: int = 0,
    on_progress: OnProgress | None = None,
) -> Faithfulness:
    """Compares made records with their sources.

    Args:
        made: (N,) strings, all that each record says.
        sources: (S,) strings, all that each source says.
        indptr: (N + 1,) int64 from 0 to S; record i is made of `sources[indptr[i]:indptr[i + 1]]`.
        num_threads: Threads; 0 takes all.
        on_progress: Called with phase, done and total some ten times a second.

    Returns:
        Coverage of each source, and unfounded numbers, names and negations.

    Raises:
        ArgumentError: `indptr` does not fit.
        DataError: `made` or `sources` is not a string column.

    Notes:
        Content is stems of words and values of numbers. What several sources say weighs in each
        of them one through their number, so that what only one says decides its coverage. Numbers
        are compared by value, names by stem, negations by the words around them. Names and
        negations are read in English; a language that capitalises all nouns has them all looked
        up as names. Linear in the texts; the same at any number of threads.

    Source:
        Ours; how well it does is in docs/decisions/0019-faithfulness.md.

    Example:
        >>> import numpy as np
        >>> import pyarrow as pa
        >>> from lmmixup import ops
        >>> made = pa.array(["Ada wrote 12 notes and never slept."])
        >>> sources = pa.array(["Ada wrote a dozen notes.", "She lived in London."])
        >>> seen = ops.check_faithfulness(made, sources, np.array([0, 2]))
        >>> seen.texts, seen.coverage
        (['never slept'], array([1., 0.]))
    """
    return Faithfulness(*_checker().check(made, sources, indptr, num_threads, on_progress))


@cache
def _checker() -> _rust.Faithfulness:
    return _rust.Faithfulness(
        function_words=set(english.FUNCTION_WORDS),
        no_names={*english.OPENERS, *english.VERB_FORMS, *english.BARE_NOUNS},
        common_endings=list(english.COMMON_ENDINGS),
        before_verbs=set(english.BEFORE_VERBS),
        subject_verbs=set(english.SUBJECT_VERBS),
        units=english.UNITS,
        scales=english.SCALES,
        weak_numbers=set(english.WEAK_WORDS),
    )
