"""The heart of `curate`: ratings and vectors in, corrected ratings and how the judge errs out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup import ops
from lmmixup.curate.consensus import (
    MAX_CLASSES,
    NUM_NEAREST,
    Clusterability,
    Transitions,
    clusterability,
    coherent_rows,
    count_consensuses,
    fit_transitions,
    region_coherence,
)
from lmmixup.curate.correct import Corrections, correct, correct_by_votes
from lmmixup.errors import DataError
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmmixup.curate.config import CurateConfig

COMMON_SHARE = 0.5
"""Share of the records from which on one rating is said to hold most of them."""


@dataclass(frozen=True)
class Curation:
    """Corrected ratings of rated records.

    Attributes:
        values_C: (C,) the different ratings, ascending.
        ratings_N: (N,) ratings after curation.
        confidence_N: (N,) in 0..1, of the rating that stands.
        is_changed_N: (N,) whether it is another one than before.
        before: Transitions as estimated from the observed ratings.
        after: The same from the curated ones.
        clusterability: How much neighbours say of each other.
        warnings: Sentences that a person should read.
        figures: The stage's numbers.
    """

    values_C: npt.NDArray[np.float64]  # noqa: N815
    ratings_N: npt.NDArray[np.float64]  # noqa: N815
    confidence_N: npt.NDArray[np.float64]  # noqa: N815
    is_changed_N: npt.NDArray[np.bool_]  # noqa: N815
    before: Transitions
    after: Transitions
    clusterability: Clusterability
    warnings: list[str]
    figures: dict[str, Any]


def curate(
    ratings_N: npt.NDArray[np.float64],
    vectors_ND: npt.NDArray[np.float32],
    config: CurateConfig,
    *,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> Curation:
    """Corrects the ratings of records by those of their neighbours.

    Args:
        ratings_N: (N,) whole numbers; unrated records are left out before.
        vectors_ND: (N, D) float32, C-contiguous.
        config: Method, neighbours, confidence and seed.
        num_threads: 0 takes all cores; the result does not depend on it.
        reporter: Where progress and warnings go.

    Returns:
        The curated ratings and what was found on the way.

    Raises:
        DataError: Too few records, one rating only, more than `MAX_CLASSES`, or fractions.

    Source:
        DS2, arXiv 2410.10877; METHOD §4. What differs is in docs/decisions/0013-curation.md.
    """
    values_C, classes_N = classes_of(ratings_N, config.neighbours)
    found = ops.knn(
        vectors_ND,
        config.neighbours,
        method=config.search,
        seed=config.seed,
        num_threads=num_threads,
        on_progress=reporter,
    )
    if config.method == "paper":
        before, fixed, after = _as_published(classes_N, found, len(values_C), config)
    else:
        coherence_MN = region_coherence(
            vectors_ND, classes_N, found.idx_QK, seed=config.seed, num_threads=num_threads
        )
        before, fixed, after = _by_posterior(classes_N, found, len(values_C), coherence_MN, config)
    whole = clusterability(count_consensuses(classes_N, found.idx_QK, len(values_C)))
    warnings = list(_warnings(values_C, classes_N, whole))
    for warning in warnings:
        reporter.note(f"warning: {warning}")
    return Curation(
        values_C,
        values_C[fixed.classes_N],
        fixed.confidence_N,
        fixed.is_changed_N,
        before,
        after,
        whole,
        warnings,
        _figures(fixed, whole, found),
    )


def _as_published(
    classes_N: npt.NDArray[np.int64],
    found: ops.Neighbours,
    num_classes: int,
    config: CurateConfig,
) -> tuple[Transitions, Corrections, Transitions]:
    """Transitions before, corrections and transitions after, by the whole pool and by votes."""

    def fit(classes: npt.NDArray[np.int64]) -> Transitions:
        return fit_transitions(count_consensuses(classes, found.idx_QK, num_classes), tied=True)

    fixed = correct_by_votes(
        classes_N, found.idx_QK, num_classes, confidence=config.least_confidence
    )
    return fit(classes_N), fixed, fit(fixed.classes_N)


def _by_posterior(
    classes_N: npt.NDArray[np.int64],
    found: ops.Neighbours,
    num_classes: int,
    coherence_MN: npt.NDArray[np.float64],
    config: CurateConfig,
) -> tuple[Transitions, Corrections, Transitions]:
    """The same by coherent regions, a mean over their draws, and by the most probable class."""

    def fit(classes: npt.NDArray[np.int64]) -> Transitions:
        draws = (
            count_consensuses(
                classes,
                found.idx_QK,
                num_classes,
                coherent_rows(coherence_N),
                num_nearest=NUM_NEAREST,
            )
            for coherence_N in coherence_MN
        )
        return Transitions.mean([fit_transitions(counts) for counts in draws])

    before = fit(classes_N)
    fixed = correct(
        classes_N,
        found.idx_QK,
        found.sim_QK,
        coherence_MN.mean(axis=0),
        before,
        confidence=config.least_confidence,
    )
    return before, fixed, fit(fixed.classes_N)


def classes_of(
    ratings_N: npt.NDArray[np.float64], num_neighbours: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The different ratings, and the place of each record's among them.

    Args:
        ratings_N: (N,) ratings without NaN.
        num_neighbours: Neighbours that each record needs.

    Returns:
        (C,) ratings, ascending, and (N,) places in 0..C - 1.

    Raises:
        DataError: See `curate`.
    """
    if len(ratings_N) <= num_neighbours:
        raise DataError(
            f"expected more rated records than neighbours, got {len(ratings_N)} for "
            f"{num_neighbours}; rate more, or lower --neighbours"
        )
    if (ratings_N != np.round(ratings_N)).any():
        odd = float(ratings_N[ratings_N != np.round(ratings_N)][0])
        raise DataError(f"expected whole numbers as ratings, got {odd:g}; round them first")
    values_C, classes_N = np.unique(ratings_N, return_inverse=True)
    if not 2 <= len(values_C) <= MAX_CLASSES:
        raise DataError(
            f"expected 2 to {MAX_CLASSES} different ratings, got {len(values_C)}"
            + (f": every record is rated {values_C[0]:g}" if len(values_C) == 1 else "")
        )
    return values_C, classes_N.astype(np.int64)


def _warnings(
    values_C: npt.NDArray[np.float64],
    classes_N: npt.NDArray[np.int64],
    whole: Clusterability,
) -> list[str]:
    shares_C = np.bincount(classes_N, minlength=len(values_C)) / len(classes_N)
    said = []
    if shares_C.max() > COMMON_SHARE:
        said.append(
            f"the rating {values_C[shares_C.argmax()]:g} holds {shares_C.max():.1%} of the rated "
            "records; a judge that says the same of most cannot order them"
        )
    if not whole.trusted:
        said.append(
            f"of the records with their two nearest neighbours {whole.agreeing:.1%} agree on the "
            f"rating, {whole.by_chance:.1%} would by chance: neighbours say too little of each "
            "other for the transition matrix to be trusted"
        )
    return said


def _figures(fixed: Corrections, whole: Clusterability, found: ops.Neighbours) -> dict[str, Any]:
    return {
        "rated": len(fixed.classes_N),
        "changed": int(fixed.is_changed_N.sum()),
        "share_changed": round(float(fixed.is_changed_N.mean()), 6),
        "mean_confidence": round(float(fixed.confidence_N.mean()), 6),
        "agreeing_triples": round(whole.agreeing, 6),
        "agreeing_by_chance": round(whole.by_chance, 6),
        "clusterability": round(whole.index, 6),
        "transitions_trusted": whole.trusted,
        "neighbour_weight": fixed.weight,
        "mean_trust": None if fixed.mean_trust is None else round(fixed.mean_trust, 6),
        "search": found.method,
    }
