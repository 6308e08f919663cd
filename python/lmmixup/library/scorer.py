"""The scorers by name, and what none of them can be fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmmixup import ops
from lmmixup.errors import DataError
from lmmixup.library.paper import PaperScorer
from lmmixup.library.residual import ResidualScorer
from lmmixup.library.scores import NUM_CLASSES, Examples, Scorer
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from lmmixup.library.config import LibraryConfig

SCORERS: dict[str, type[PaperScorer | ResidualScorer]] = {
    "paper": PaperScorer,
    "residual": ResidualScorer,
}
"""Every scorer by its name on the command line."""


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
    check_examples(examples, config.neighbours)
    k = config.neighbours
    if config.scorer == "paper":
        k = max(k, config.transition_neighbours)
    found = ops.knn(
        examples.vectors_ND, k, method="exact", num_threads=num_threads, on_progress=reporter
    )
    if config.scorer == "paper":
        return PaperScorer.fit(examples, found, config)
    return ResidualScorer.fit(examples, found, config, reporter)


def check_examples(examples: Examples, k: int) -> None:
    """Refuses what no scorer can be fitted on.

    Raises:
        DataError: Not more records than `k`, a rating outside 0..5, or one class only.
    """
    ratings, num_records = examples.ratings_N, len(examples.ratings_N)
    if num_records <= k:
        raise DataError(
            f"expected more rated records than neighbours, got {num_records} for {k}; rate more, "
            "or lower --neighbours"
        )
    if ratings.min() < 0 or ratings.max() >= NUM_CLASSES:
        raise DataError(f"ratings must be 0 to 5, got {ratings.min()}..{ratings.max()}")
    if ratings.min() == ratings.max():
        raise DataError(
            f"all {num_records} records are rated {ratings[0]}; a library needs at least two "
            "different ratings"
        )
