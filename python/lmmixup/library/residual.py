"""A ridge head corrected by its neighbours' residuals.

Shapes: N library records, Q queries, D dimensions, K neighbours, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lmmixup import ops
from lmmixup.library.calibration import Calibration, fit_calibration
from lmmixup.library.head import NUM_FOLDS, Head, draw_folds, fit_head
from lmmixup.library.known import nearest_others
from lmmixup.library.scores import NUM_CLASSES, Examples, Scores
from lmmixup.ops.knn import whole_method
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmmixup.library.config import LibraryConfig
    from lmmixup.library.known import Known

TEMPERATURES = (0.05, 0.07, 0.1, 0.15, 0.3, 1.0)
"""A neighbour at cosine s weighs exp((s - 1) / temperature)."""

SHRINKAGES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
"""In units of the median weight of all neighbours of a record."""


@dataclass(frozen=True)
class ResidualScorer:
    """A ridge head, corrected by the residuals of the neighbours.

    The score is head(x) + sum_m w_m r_m / (sum_m w_m + shrinkage), where r_m is the rating of
    neighbour m less what a head that never saw its fold said of it, and w_m falls with its
    distance: the mean of a normal posterior whose prior mean is the head's.

    Attributes:
        examples: The library.
        k: Neighbours.
        head: The ridge regression.
        residuals_N: (N,) float64, rating less prediction across folds.
        temperature: Of the weights, in cosine.
        shrinkage: Weight of the head against the neighbours.
        calibration: From the score to probabilities and a class.
        cut_points: How the calibration's cut-points were chosen.
        seed: Of the folds.
    """

    examples: Examples
    k: int
    head: Head
    residuals_N: NDArray[np.float64]  # noqa: N815
    temperature: float
    shrinkage: float
    calibration: Calibration
    cut_points: Literal["prior", "kappa"]
    seed: int

    @classmethod
    def fit(
        cls,
        examples: Examples,
        found: ops.Neighbours,
        config: LibraryConfig,
        reporter: Reporter = SILENT,
    ) -> ResidualScorer:
        """Fits head, weights and calibration on folds of the library."""
        ratings_N = examples.ratings_N
        folds_N = draw_folds(len(ratings_N), config.seed)
        head, predicted_N = fit_head(
            examples.vectors_ND, examples.num_bytes_N2, ratings_N, folds_N, reporter
        )
        residuals_N = ratings_N - predicted_N
        best: tuple[float, float, float] = (np.inf, 1.0, 1.0)
        for temperature in TEMPERATURES:
            weights_NK = _weights(found, temperature)
            sum_N = weights_NK.sum(axis=1)
            shift_N = (weights_NK * residuals_N[found.idx_QK]).sum(axis=1)
            for share in SHRINKAGES:
                shrinkage = float(np.median(sum_N)) * share
                error = ((residuals_N - shift_N / (sum_N + shrinkage)) ** 2).mean()
                best = min(best, (float(error), temperature, shrinkage))
        _, temperature, shrinkage = best
        score_N = _corrected(predicted_N, residuals_N, found, temperature, shrinkage)
        calibration = fit_calibration(score_N, ratings_N, NUM_CLASSES, config.cut_points)
        return cls(
            examples,
            config.neighbours,
            head,
            residuals_N,
            temperature,
            shrinkage,
            calibration,
            config.cut_points,
            config.seed,
        )

    @classmethod
    def restore(
        cls,
        examples: Examples,
        k: int,
        stored: Mapping[str, Any],
        arrays: Mapping[str, NDArray[np.float64]],
    ) -> ResidualScorer:
        """From what `to_dict` and `arrays` gave."""
        parts: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored["head"].items()
        }
        return cls(
            examples,
            k,
            Head(weights_F=arrays["head.npy"], **parts),
            arrays["residuals.npy"],
            stored["temperature"],
            stored["shrinkage"],
            Calibration.from_dict(stored["calibration"]),
            stored["cut_points"],
            stored["seed"],
        )

    def score(
        self,
        vectors_QD: NDArray[np.float32],
        num_bytes_Q2: NDArray[np.int64],
        *,
        known: Known | None = None,
        num_threads: int = 0,
        reporter: Reporter = SILENT,
    ) -> Scores:
        """Rates records; those that are `known` by the others, with the head of another fold."""
        found = nearest_others(
            self.examples.prepared,
            vectors_QD,
            self.k,
            known,
            num_threads=num_threads,
            on_progress=reporter,
        )
        head_Q = self.head.predict(vectors_QD, num_bytes_Q2)
        if known is not None:
            head_Q[known.rows] = self._head_N[known.row_Q[known.rows]]
        score_Q = self._corrected(head_Q, found)
        posterior_QC = self.calibration.probabilities(score_Q)
        return Scores(posterior_QC, self.calibration.classes(score_Q), found, head_Q)

    def leave_one_out(self, *, num_threads: int = 0, reporter: Reporter = SILENT) -> Scores:
        """Rates each record by the others: head and calibration come from the other folds."""
        examples = self.examples
        found = ops.knn(
            examples.vectors_ND,
            self.k,
            method=whole_method("auto", examples.vectors_ND, len(examples.vectors_ND), self.k),
            num_threads=num_threads,
            on_progress=reporter,
        )
        score_N = self._corrected(self._head_N, found)
        posterior_NC = np.zeros((len(score_N), NUM_CLASSES))
        rating_N = np.zeros(len(score_N), np.int8)
        folds_N = draw_folds(len(score_N), self.seed)
        for fold in range(NUM_FOLDS):
            here = folds_N == fold
            other = fit_calibration(
                score_N[~here], examples.ratings_N[~here], NUM_CLASSES, self.cut_points
            )
            posterior_NC[here] = other.probabilities(score_N[here])
            rating_N[here] = other.classes(score_N[here])
        return Scores(posterior_NC, rating_N, found, self._head_N)

    @property
    def _head_N(self) -> NDArray[np.float64]:  # noqa: N802
        """What heads that never saw a record's fold say of it."""
        return self.examples.ratings_N - self.residuals_N

    def _corrected(self, head_Q: NDArray[np.float64], found: ops.Neighbours) -> NDArray[np.float64]:
        return _corrected(head_Q, self.residuals_N, found, self.temperature, self.shrinkage)

    def to_dict(self) -> dict[str, Any]:
        """All fitted numbers but the two arrays."""
        return {
            "head": self.head.to_dict(),
            "temperature": self.temperature,
            "shrinkage": self.shrinkage,
            "calibration": self.calibration.to_dict(),
            "cut_points": self.cut_points,
            "seed": self.seed,
        }

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """The head's weights and the residuals."""
        return {"head.npy": self.head.weights_F, "residuals.npy": self.residuals_N}


def _weights(found: ops.Neighbours, temperature: float) -> NDArray[np.float64]:
    weights: NDArray[np.float64] = np.exp((found.sim_QK.astype(np.float64) - 1) / temperature)
    return weights


def _corrected(
    head_Q: NDArray[np.float64],
    residuals_N: NDArray[np.float64],
    found: ops.Neighbours,
    temperature: float,
    shrinkage: float,
) -> NDArray[np.float64]:
    weights_QK = _weights(found, temperature)
    shift_Q = (weights_QK * residuals_N[found.idx_QK]).sum(axis=1)
    score_Q: NDArray[np.float64] = head_Q + shift_Q / (weights_QK.sum(axis=1) + shrinkage)
    return score_Q
