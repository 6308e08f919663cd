"""KNN-Bayes as the paper has it: a histogram of the neighbours' ratings, read by a matrix.

Shapes: N library records, Q queries, D dimensions, K neighbours, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup import ops
from lmmixup.library.scores import NUM_CLASSES, Examples, Scores
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmmixup.library.config import LibraryConfig


@dataclass(frozen=True)
class PaperScorer:
    """KNN-Bayes as in LM-Mixup; the rating is the rounded expectation.

    Attributes:
        examples: The library.
        k: Neighbours.
        prior_C: (C,) shares of the ratings.
        transition_CC: (C, C) P(a neighbour's rating | own rating).
    """

    examples: Examples
    k: int
    prior_C: NDArray[np.float64]  # noqa: N815
    transition_CC: NDArray[np.float64]  # noqa: N815

    @classmethod
    def fit(cls, examples: Examples, found: ops.Neighbours, config: LibraryConfig) -> PaperScorer:
        """Counts prior and transition matrix."""
        ratings_N = examples.ratings_N
        prior_C = np.bincount(ratings_N, minlength=NUM_CLASSES) / len(ratings_N)
        transition_CC = ops.transition(
            ratings_N,
            found.idx_QK[:, : config.k_transition],
            num_classes=NUM_CLASSES,
            smoothing=config.smoothing,
        )
        return cls(examples, config.k, prior_C, transition_CC)

    @classmethod
    def restore(
        cls,
        examples: Examples,
        k: int,
        stored: Mapping[str, Any],
        arrays: Mapping[str, NDArray[np.float64]],
    ) -> PaperScorer:
        """From what `to_dict` and `arrays` gave."""
        del arrays
        return cls(examples, k, np.array(stored["prior"]), np.array(stored["transition"]))

    def score(
        self,
        vectors_QD: NDArray[np.float32],
        num_bytes_Q2: NDArray[np.int64],
        *,
        num_threads: int = 0,
        reporter: Reporter = SILENT,
    ) -> Scores:
        """Rates new records."""
        del num_bytes_Q2
        return self._score(self.examples.prepared, vectors_QD, num_threads, reporter)

    def leave_one_out(self, *, num_threads: int = 0, reporter: Reporter = SILENT) -> Scores:
        """Rates each record by the others; prior and matrix have seen it, which is negligible."""
        return self._score(self.examples.vectors_ND, None, num_threads, reporter)

    def _score(
        self,
        library_ND: NDArray[np.float32] | ops.Prepared,
        vectors_QD: NDArray[np.float32] | None,
        num_threads: int,
        reporter: Reporter,
    ) -> Scores:
        found = ops.knn_bayes(
            library_ND,
            self.examples.ratings_N,
            vectors_QD,
            k=self.k,
            table_HC=ops.posterior_table(self.k, self.prior_C, self.transition_CC),
            method="auto",
            num_threads=num_threads,
            on_progress=reporter,
        )
        scores = Scores(found.posterior_QC, np.zeros(0, np.int8), found.neighbours)
        rounded = np.floor(scores.expected_Q + 0.5).astype(np.int8)
        return Scores(found.posterior_QC, rounded, found.neighbours)

    def to_dict(self) -> dict[str, Any]:
        """Prior and transition matrix."""
        return {"prior": self.prior_C.tolist(), "transition": self.transition_CC.tolist()}

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """None."""
        return {}
