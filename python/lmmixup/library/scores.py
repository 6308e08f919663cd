"""What scorers take and give: rated examples in, posteriors out.

Shapes: N library records, Q queries, D dimensions, K neighbours, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lmmixup import ops
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmmixup.library.known import Known

NUM_CLASSES = 6
"""Ratings 0 to 5."""

HIGH = 4
"""Least rating that is high quality."""


@dataclass(frozen=True)
class Examples:
    """Rated records as arrays.

    Attributes:
        vectors_ND: (N, D) float32, C-contiguous, rows of length 1.
        num_bytes_N2: (N, 2) int64, UTF-8 bytes of prompt and completion.
        ratings_N: (N,) int64, 0..5.
    """

    vectors_ND: NDArray[np.float32]  # noqa: N815
    num_bytes_N2: NDArray[np.int64]  # noqa: N815
    ratings_N: NDArray[np.int64]  # noqa: N815

    @cached_property
    def prepared(self) -> ops.Prepared:
        """The vectors ready to be asked often; an index would stand here."""
        return ops.Prepared(self.vectors_ND)


@dataclass(frozen=True)
class Scores:
    """What a scorer says of Q records.

    Attributes:
        posterior_QC: (Q, C) float64, probability of each rating.
        rating_Q: (Q,) int8, class by cut-points.
        neighbours: The K neighbours that it rests on.
        head_Q: (Q,) float64, rating before the neighbours corrected it; `None` for `paper`.
    """

    posterior_QC: NDArray[np.float64]  # noqa: N815
    rating_Q: NDArray[np.int8]  # noqa: N815
    neighbours: ops.Neighbours
    head_Q: NDArray[np.float64] | None = None  # noqa: N815

    @property
    def expected_Q(self) -> NDArray[np.float64]:  # noqa: N802
        """Expected rating."""
        return self.posterior_QC @ np.arange(NUM_CLASSES, dtype=np.float64)

    @property
    def map_class_Q(self) -> NDArray[np.int8]:  # noqa: N802
        """Most probable rating, the lower of two that are equal."""
        class_Q: NDArray[np.int8] = self.posterior_QC.argmax(axis=1).astype(np.int8)
        return class_Q

    @property
    def p_ge_4_Q(self) -> NDArray[np.float64]:  # noqa: N802
        """Probability of a rating of 4 or 5."""
        above_Q: NDArray[np.float64] = self.posterior_QC[:, HIGH:].sum(axis=1)
        return above_Q

    @property
    def entropy_Q(self) -> NDArray[np.float64]:  # noqa: N802
        """Entropy of the posterior in nats, 0 to log 6."""
        p_QC = self.posterior_QC
        logs_QC = np.log(p_QC, out=np.zeros_like(p_QC), where=p_QC > 0)
        entropy_Q: NDArray[np.float64] = -(p_QC * logs_QC).sum(axis=1)
        return entropy_Q


class Scorer(Protocol):
    """Rates records by a library."""

    @property
    def examples(self) -> Examples:
        """The library's records."""

    def score(
        self,
        vectors_QD: NDArray[np.float32],
        num_bytes_Q2: NDArray[np.int64],
        *,
        known: Known | None = None,
        num_threads: int = 0,
        reporter: Reporter = SILENT,
    ) -> Scores:
        """Rates records; those that are `known` by the others."""

    def leave_one_out(self, *, num_threads: int = 0, reporter: Reporter = SILENT) -> Scores:
        """Rates each record of the library by the others."""

    def to_dict(self) -> dict[str, Any]:
        """What was fitted, as it stands in the manifest."""

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """What was fitted and is too long for the manifest, by file name."""
