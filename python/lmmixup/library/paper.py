"""KNN-Bayes as the paper has it: a histogram of the neighbours' ratings, read by a matrix.

Shapes: N library records, Q queries, D dimensions, K neighbours, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup import ops
from lmmixup.library.known import nearest_others
from lmmixup.library.scores import NUM_CLASSES, Examples, Scores
from lmmixup.ops.knn import whole_method
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmmixup.library.config import LibraryConfig
    from lmmixup.library.known import Known


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
            found.idx_QK[:, : config.transition_neighbours],
            num_classes=NUM_CLASSES,
            smoothing=config.smoothing,
        )
        return cls(examples, config.neighbours, prior_C, transition_CC)

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
        known: Known | None = None,
        num_threads: int = 0,
        reporter: Reporter = SILENT,
    ) -> Scores:
        """Rates records; those that are `known` by the others."""
        del num_bytes_Q2
        found = nearest_others(
            self.examples.prepared,
            vectors_QD,
            self.k,
            known,
            num_threads=num_threads,
            on_progress=reporter,
        )
        return self._read(found)

    def leave_one_out(self, *, num_threads: int = 0, reporter: Reporter = SILENT) -> Scores:
        """Rates each record by the others; prior and matrix have seen it, which is negligible."""
        vectors_ND = self.examples.vectors_ND
        found = ops.knn(
            vectors_ND,
            self.k,
            method=whole_method("auto", vectors_ND, len(vectors_ND), self.k),
            num_threads=num_threads,
            on_progress=reporter,
        )
        return self._read(found)

    def _read(self, found: ops.Neighbours) -> Scores:
        counts_QC = ops.label_counts(self.examples.ratings_N, found.idx_QK, NUM_CLASSES)
        posterior_QC = ops.posterior(counts_QC, self.prior_C, self.transition_CC)
        expected_Q = posterior_QC @ np.arange(NUM_CLASSES)
        return Scores(posterior_QC, np.floor(expected_Q + 0.5).astype(np.int8), found)

    def to_dict(self) -> dict[str, Any]:
        """Prior and transition matrix."""
        return {"prior": self.prior_C.tolist(), "transition": self.transition_CC.tolist()}

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """None."""
        return {}
