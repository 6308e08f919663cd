"""Scorers: what a record's nearest rated neighbours say about its rating.

Shapes: N library records, Q queries, D dimensions, K neighbours, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lmmixup import ops
from lmmixup.errors import DataError
from lmmixup.library.calibration import Calibration, fit_calibration
from lmmixup.library.head import NUM_FOLDS, Head, draw_folds, fit_head
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmmixup.library.config import LibraryConfig

NUM_CLASSES = 6
"""Ratings 0 to 5."""

HIGH = 4
"""Least rating that is high quality."""

TEMPERATURES = (0.05, 0.07, 0.1, 0.15, 0.3, 1.0)
"""A neighbour at cosine s weighs exp((s - 1) / temperature)."""

SHRINKAGES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
"""In units of the median weight of all neighbours of a record."""


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
        num_threads: int = 0,
        reporter: Reporter = SILENT,
    ) -> Scores:
        """Rates new records."""

    def leave_one_out(self, *, num_threads: int = 0, reporter: Reporter = SILENT) -> Scores:
        """Rates each record of the library by the others."""

    def to_dict(self) -> dict[str, Any]:
        """What was fitted, as it stands in the manifest."""

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """What was fitted and is too long for the manifest, by file name."""


def fit_scorer(
    examples: Examples,
    config: LibraryConfig,
    *,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> Scorer:
    """Fits the scorer that a config names.

    Args:
        examples: The library's records.
        config: Scorer, k and the rest.
        num_threads: 0 takes all cores.
        reporter: Where progress goes.

    Raises:
        DataError: Too few records or a single class.

    Source:
        METHOD §5 for `paper`; docs/knn_bayes.md for `residual`.
    """
    check_examples(examples, config.k)
    k = max(config.k, config.k_transition) if config.scorer == "paper" else config.k
    found = ops.knn(
        examples.vectors_ND, k, method="exact", num_threads=num_threads, on_progress=reporter
    )
    if config.scorer == "paper":
        return PaperScorer.fit(examples, found, config)
    return ResidualScorer.fit(examples, found, config)


def check_examples(examples: Examples, k: int) -> None:
    """Refuses what no scorer can be fitted on.

    Raises:
        DataError: Not more records than `k`, a rating outside 0..5, or one class only.
    """
    ratings, num_records = examples.ratings_N, len(examples.ratings_N)
    if num_records <= k:
        raise DataError(
            f"expected more than k = {k} rated records, got {num_records}; rate more of them or "
            "pass a smaller --k"
        )
    if ratings.min() < 0 or ratings.max() >= NUM_CLASSES:
        raise DataError(f"ratings must be 0 to 5, got {ratings.min()}..{ratings.max()}")
    if ratings.min() == ratings.max():
        raise DataError(
            f"all {num_records} records are rated {ratings[0]}; a library needs at least two "
            "different ratings"
        )


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
        seed: Of the folds.
    """

    examples: Examples
    k: int
    head: Head
    residuals_N: NDArray[np.float64]  # noqa: N815
    temperature: float
    shrinkage: float
    calibration: Calibration
    seed: int

    @classmethod
    def fit(
        cls, examples: Examples, found: ops.Neighbours, config: LibraryConfig
    ) -> ResidualScorer:
        """Fits head, weights and calibration on folds of the library."""
        ratings_N = examples.ratings_N
        folds_N = draw_folds(len(ratings_N), config.seed)
        head, predicted_N = fit_head(examples.vectors_ND, examples.num_bytes_N2, ratings_N, folds_N)
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
        calibration = fit_calibration(score_N, ratings_N, NUM_CLASSES)
        return cls(
            examples, config.k, head, residuals_N, temperature, shrinkage, calibration, config.seed
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
            stored["seed"],
        )

    def score(
        self,
        vectors_QD: NDArray[np.float32],
        num_bytes_Q2: NDArray[np.int64],
        *,
        num_threads: int = 0,
        reporter: Reporter = SILENT,
    ) -> Scores:
        """Rates new records."""
        found = self.examples.prepared.nearest(
            vectors_QD, self.k, num_threads=num_threads, on_progress=reporter
        )
        head_Q = self.head.predict(vectors_QD, num_bytes_Q2)
        score_Q = self._corrected(head_Q, found)
        posterior_QC = self.calibration.probabilities(score_Q)
        return Scores(posterior_QC, self.calibration.classes(score_Q), found, head_Q)

    def leave_one_out(self, *, num_threads: int = 0, reporter: Reporter = SILENT) -> Scores:
        """Rates each record by the others: head and calibration come from the other folds."""
        examples = self.examples
        found = ops.knn(
            examples.vectors_ND,
            self.k,
            method="exact",
            num_threads=num_threads,
            on_progress=reporter,
        )
        head_N = examples.ratings_N - self.residuals_N
        score_N = self._corrected(head_N, found)
        posterior_NC = np.zeros((len(score_N), NUM_CLASSES))
        rating_N = np.zeros(len(score_N), np.int8)
        folds_N = draw_folds(len(score_N), self.seed)
        for fold in range(NUM_FOLDS):
            here = folds_N == fold
            other = fit_calibration(score_N[~here], examples.ratings_N[~here], NUM_CLASSES)
            posterior_NC[here] = other.probabilities(score_N[here])
            rating_N[here] = other.classes(score_N[here])
        return Scores(posterior_NC, rating_N, found, head_N)

    def _corrected(self, head_Q: NDArray[np.float64], found: ops.Neighbours) -> NDArray[np.float64]:
        return _corrected(head_Q, self.residuals_N, found, self.temperature, self.shrinkage)

    def to_dict(self) -> dict[str, Any]:
        """All fitted numbers but the two arrays."""
        return {
            "head": self.head.to_dict(),
            "temperature": self.temperature,
            "shrinkage": self.shrinkage,
            "calibration": self.calibration.to_dict(),
            "seed": self.seed,
        }

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """The head's weights and the residuals."""
        return {"head.npy": self.head.weights_F, "residuals.npy": self.residuals_N}


SCORERS: dict[str, type[PaperScorer | ResidualScorer]] = {
    "paper": PaperScorer,
    "residual": ResidualScorer,
}


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
