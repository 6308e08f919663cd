"""The strategies: each puts the records of a pool in an order, best first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmmixup.embed import embed_pool
from lmmixup.ratings import check_rating, ratings_of
from lmmixup.select.deita import score_evol
from lmmixup.select.diversity import unlike
from lmmixup.select.language_model import score_pool
from lmmixup.select.less import score_influence
from lmmixup.select.long_tail import long_tail

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from lmmixup.pool import Pool
    from lmmixup.progress import Reporter
    from lmmixup.select.config import SelectConfig

UNRATED = "unrated"
BELOW = "rated-below"
SIMILAR = "too-similar"
NO_SCORE = "no-score"
NO_HELP = "prompt-does-not-help"
"""Why a record cannot be selected, whatever the number."""


@dataclass(frozen=True)
class Candidates:
    """What a strategy may look at.

    Attributes:
        pool: The records.
        records: The same in memory, N of them.
        config: The stage's config.
        num: Records that will be taken; `None` where that is open.
        side: Number of the pool among those that are merged; draws differ between them.
        target: Records that `less` compares with; `None` for the other strategies.
        work: Folder for pieces that a killed run should not do again.
        num_threads: 0 takes all cores.
        reporter: Where progress goes.
    """

    pool: Pool
    records: pa.Table
    config: SelectConfig
    num: int | None
    side: int
    target: pa.Table | None
    work: Path
    num_threads: int
    reporter: Reporter

    def numbers(self, column: str, option: str) -> npt.NDArray[np.float64]:
        """A column of numbers, NaN where null."""
        check_rating(column, self.records.schema, option)
        return ratings_of(self.records[column], column)

    def vectors(self) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """(N, D) vectors and what made them."""
        embedded = embed_pool(
            self.pool,
            self.config.embed_config(),
            num_threads=self.num_threads,
            reporter=self.reporter,
        )
        return embedded.vectors_ND, {"identity": embedded.identity}

    def random_keys(self) -> npt.NDArray[np.float64]:
        """(N,) drawn numbers, by the seed and the places of the records."""
        rng = np.random.default_rng([self.config.seed, self.side])
        return np.asarray(rng.random(self.records.num_rows))


@dataclass(frozen=True)
class Ranking:
    """A pool in the order in which a strategy takes its records.

    Attributes:
        order_R: (R,) rows that may be selected, best first.
        excluded: Rows that may not, by reason.
        columns: (N,) numbers that the selected records get as columns.
        figures: Numbers for the manifest.
    """

    order_R: npt.NDArray[np.int64]  # noqa: N815
    excluded: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    columns: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


Strategy: TypeAlias = Callable[[Candidates], Ranking]


def best_first(
    *keys: npt.NDArray[Any], among: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.int64]:
    """Rows by falling keys, the first key first; ties by place.

    Args:
        keys: (N,) numbers each.
        among: (N,) which rows; all where not given.

    Returns:
        (R,) rows.

    Example:
        >>> best_first(np.array([1, 2, 2]), np.array([0, 1, 5])).tolist()
        [2, 1, 0]
    """
    rows = np.arange(len(keys[0])) if among is None else np.flatnonzero(among)
    columns = [-np.asarray(key, np.float64)[rows] for key in reversed(keys)]
    return np.asarray(rows[np.lexsort(columns)])


def rank_ds2(given: Candidates) -> Ranking:
    """Highest rating first, of equal ones the longest tail (DS2)."""
    ratings_N = given.numbers(given.config.rating, "--rating")
    tail, figures = _tail(given)
    is_rated_N = ~np.isnan(ratings_N)
    return Ranking(
        best_first(ratings_N, tail, among=is_rated_N),
        {UNRATED: np.flatnonzero(~is_rated_N)},
        {"long_tail": tail},
        figures,
    )


def rank_knn(given: Candidates) -> Ranking:
    """Longest tail first, whatever the rating."""
    tail, figures = _tail(given)
    return Ranking(best_first(tail), {}, {"long_tail": tail}, figures)


def rank_random(given: Candidates) -> Ranking:
    """A drawn order."""
    return Ranking(best_first(given.random_keys()))


def rank_longest(given: Candidates) -> Ranking:
    """Longest completion first, in characters."""
    length = pc.fill_null(pc.utf8_length(given.records["completion"]), 0).to_numpy()
    return Ranking(best_first(length), {}, {"completion_length": length.astype(np.float32)})


def rank_alpagasus(given: Candidates) -> Ranking:
    """A drawn order of those that the judge rates high enough (AlpaGasus, arXiv 2307.08701)."""
    ratings_N = given.numbers(given.config.rating, "--rating")
    is_high_N = ratings_N >= given.config.at
    is_unrated_N = np.isnan(ratings_N)
    return Ranking(
        best_first(given.random_keys(), among=is_high_N),
        {
            UNRATED: np.flatnonzero(is_unrated_N),
            BELOW: np.flatnonzero(~is_high_N & ~is_unrated_N),
        },
    )


def rank_deita(given: Candidates) -> Ranking:
    """Complexity x quality, without records too similar to a better one (Deita, 2312.15685)."""
    columns, scored = _deita_scores(given)
    evol_N = columns["complexity_x_quality"].astype(np.float64)
    is_scored_N = ~np.isnan(evol_N)
    vectors_ND, figures = given.vectors()
    order_R = best_first(evol_N, among=is_scored_N)
    kept_R, num_looked = unlike(
        vectors_ND[order_R],
        given.config.max_similarity,
        num=given.num,
        num_threads=given.num_threads,
        reporter=given.reporter,
    )
    return Ranking(
        order_R[kept_R],
        {
            NO_SCORE: np.flatnonzero(~is_scored_N),
            SIMILAR: np.setdiff1d(order_R[:num_looked], order_R[kept_R]),
        },
        columns,
        {**figures, **scored},
    )


def _deita_scores(given: Candidates) -> tuple[dict[str, npt.NDArray[np.float32]], dict[str, Any]]:
    """The numbers of `deita` as columns: by its scorers, or from what the pool has."""
    if given.config.complexity_scorer is None:
        complexity_N = given.numbers(given.config.complexity, "--complexity")
        evol_N = complexity_N * given.numbers(given.config.quality, "--quality")
        return {"complexity_x_quality": evol_N.astype(np.float32)}, {}
    scores = score_evol(given.records, given.config, given.work, given.reporter)
    return scores.columns, scores.figures


def rank_perplexity(given: Candidates) -> Ranking:
    """Highest perplexity of the completion given the prompt first."""
    scores = score_pool(given.records, given.config, given.work, given.reporter)
    is_scored_N = ~np.isnan(scores.perplexity_N)
    return Ranking(
        best_first(scores.perplexity_N, among=is_scored_N),
        {NO_SCORE: np.flatnonzero(~is_scored_N)},
        {"perplexity": scores.perplexity_N},
        scores.figures,
    )


def rank_ifd(given: Candidates) -> Ranking:
    """Highest instruction-following difficulty below 1 first (Cherry, arXiv 2308.12032)."""
    scores = score_pool(given.records, given.config, given.work, given.reporter)
    ifd_N = scores.perplexity_N / scores.perplexity_alone_N
    is_scored_N = ~np.isnan(ifd_N)
    helps_N = is_scored_N & (ifd_N < 1)
    return Ranking(
        best_first(ifd_N, among=helps_N),
        {
            NO_SCORE: np.flatnonzero(~is_scored_N),
            NO_HELP: np.flatnonzero(is_scored_N & ~helps_N),
        },
        {"ifd": ifd_N, "perplexity": scores.perplexity_N},
        scores.figures,
    )


def rank_less(given: Candidates) -> Ranking:
    """Most like the target in its gradients first (LESS, arXiv 2402.04333)."""
    assert given.target is not None  # noqa: S101 the config asks for it
    found = score_influence(
        given.records,
        given.target,
        given.config,
        side=given.side,
        work=given.work,
        reporter=given.reporter,
    )
    is_scored_N = ~np.isnan(found.score_N)
    return Ranking(
        best_first(found.score_N, among=is_scored_N),
        {NO_SCORE: np.flatnonzero(~is_scored_N)},
        {"influence": found.score_N},
        found.figures,
    )


def _tail(given: Candidates) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    vectors_ND, figures = given.vectors()
    tail = long_tail(
        vectors_ND,
        given.config.neighbours,
        method=given.config.search,
        seed=given.config.seed,
        num_threads=given.num_threads,
        on_progress=given.reporter,
    )
    return tail.score_N, {**figures, "search": tail.method, "recall": tail.recall}


STRATEGIES: dict[str, Strategy] = {
    "ds2": rank_ds2,
    "random": rank_random,
    "longest": rank_longest,
    "perplexity": rank_perplexity,
    "ifd": rank_ifd,
    "alpagasus": rank_alpagasus,
    "deita": rank_deita,
    "knn": rank_knn,
    "less": rank_less,
}
"""Every strategy by its name on the command line."""
