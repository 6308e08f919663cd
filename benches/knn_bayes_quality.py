"""How well libraries rate records that they have not seen, beside the scorer of the paper.

python benches/knn_bayes_quality.py --ratings ../shared/data/ratings --embedders wordllama lexical

Each set is split by prompt, 80 % for the library and 20 % to be rated; nothing is chosen here:
all scorers are what `lmmixup library build` makes of the 80 %, by default or with the options that
a row names. Intervals are of the difference of ours and the paper's: a paired bootstrap over the
records that were rated, 95 %.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import measure

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmmixup.library import Scores

SEED = 3
NUM_DRAWS = 1000
LISTED, SWAPPED = "score_as_listed", "score_swapped"


def from_10(*columns: str) -> Callable[[pa.Table], np.ndarray]:
    """The mean of scores 1 to 10 as a rating, a half rounded up; NaN where one is missing."""
    return lambda table: (
        np.clip(np.floor(np.mean([table[c].to_numpy() for c in columns], axis=0) + 0.5), 4, 9) - 4
    )


def rounded(column: str) -> Callable[[pa.Table], np.ndarray]:
    """A score 1 to 6 as a rating."""
    return lambda table: np.round(table[column].to_numpy()) - 1


def given(column: str) -> Callable[[pa.Table], np.ndarray]:
    """A rating as it is."""
    return lambda table: table[column].to_numpy().astype(np.float64)


SETS: dict[str, tuple[str, str | None, Callable[[pa.Table], np.ndarray]]] = {
    "Alpaca, GPT-4o-mini": ("ratings_alpaca_ds2", None, given("rating_gpt_4o_mini")),
    "Alpaca, Llama-3.1-8B": ("ratings_alpaca_ds2", None, given("rating_llama_3_1_8b")),
    "Alpaca, Mistral-7B": ("ratings_alpaca_ds2", None, given("rating_mistral_7b_v0_3")),
    "MergeIT, Deita quality": ("ratings_mergeit_deita", None, rounded("quality_score")),
    "MergeIT, Deita complexity": ("ratings_mergeit_deita", None, rounded("complexity_score")),
    "Cherry, GPT-4": ("ratings_cherry_gpt_reviews", "gpt4", from_10(LISTED, SWAPPED)),
    "Cherry, GPT-3.5": ("ratings_cherry_gpt_reviews", "gpt3.5", from_10(LISTED, SWAPPED)),
}
"""Rated records: file, judge among several, and how its scores become ratings 0 to 5."""


SCORERS: dict[str, dict[str, Any]] = {
    "paper": {"scorer": "paper"},
    "residual": {},
    "residual, cut-points kappa": {"cut_points": "kappa"},
}
"""Options of a library by the name of the row."""


def read(folder: Path, name: str) -> pa.Table:
    """A set's records with their `rating`; those that nobody rated are left out."""
    file, judge, ratings = SETS[name]
    table = pq.read_table(folder / f"{file}.parquet")
    if judge is not None:
        table = table.filter(pa.array([one == judge for one in table["judge"].to_pylist()]))
    rating = ratings(table)
    rated = pa.array(~np.isnan(rating))
    columns = ["id", "instruction", "input", "output"]
    whole = pa.array(np.nan_to_num(rating).astype(np.int64))
    return table.select(columns).append_column("rating", whole).filter(rated)


def split(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The 80 % and the 20 %, no prompt in both; by record where each has a prompt of its own."""
    pairs = zip(table["instruction"].to_pylist(), table["input"].to_pylist(), strict=True)
    numbers: dict[tuple[str, str], int] = {}
    prompts = np.array([numbers.setdefault(pair, len(numbers)) for pair in pairs])
    order = np.random.default_rng(SEED).permutation(len(numbers))
    held_out = np.isin(prompts, order[: len(numbers) // 5])
    return table.filter(pa.array(~held_out)), table.filter(pa.array(held_out))


def rate(train: pa.Table, test: pa.Table, embedder: str, **options: Any) -> Scores:
    """What a library of the one says of the other."""
    from lmmixup.library import LibraryConfig, open_library, run
    from lmmixup.library.store import library_texts, text_bytes
    from lmmixup.pool import open_pool

    config = LibraryConfig(embedder=embedder, **options)
    with tempfile.TemporaryDirectory() as folder:
        run(open_pool(train), config, output=Path(folder) / "library")
        library = open_library(Path(folder) / "library")
        records = open_pool(test).read()
        vectors = library.embedder.embed(library_texts(records, config))
        return library.score(vectors, text_bytes(records, config))


def interval(
    figure: Callable[[Scores, np.ndarray, np.ndarray], float],
    ours: Scores,
    paper: Scores,
    ratings: np.ndarray,
) -> str:
    """95 % of the differences over drawn records."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(ratings), size=len(ratings)) for _ in range(NUM_DRAWS)]
    gains = [figure(ours, ratings, rows) - figure(paper, ratings, rows) for rows in draws]
    low, high = np.quantile(gains, [0.025, 0.975])
    return f"{low:.3f} .. {high:.3f}"


def rank_correlation(scores: Scores, ratings: np.ndarray, rows: np.ndarray) -> float:
    """Spearman of the expected rating on some rows."""
    from lmmixup.library.metrics import spearman

    return spearman(scores.expected_Q[rows], ratings[rows])


def kappa(scores: Scores, ratings: np.ndarray, rows: np.ndarray) -> float:
    """Quadratic weighted kappa of the rating on some rows."""
    from lmmixup.library.metrics import confusion, quadratic_kappa

    return quadratic_kappa(confusion(ratings[rows], scores.rating_Q[rows], 6))


def judge(name: str, embedder: str, train: pa.Table, test: pa.Table) -> list[dict[str, Any]]:
    """A row for each scorer."""
    from lmmixup.library.report import compare

    ratings = test["rating"].to_numpy()
    scores = {row: rate(train, test, embedder, **options) for row, options in SCORERS.items()}
    rows = []
    for scorer, one in scores.items():
        told = compare(one, ratings)
        figures = {key: getattr(told, key) for key in ("spearman", "qwk", "accuracy", "ece")}
        about = {"name": f"{name}, {embedder}: {scorer}", "library": len(train), "rated": len(test)}
        figures |= {"share_ge_4": (one.rating_Q >= 4).mean(), "judge_ge_4": (ratings >= 4).mean()}
        rows.append(about | {key: round(float(value), 4) for key, value in figures.items()})
        if scorer != "paper":
            pair = (one, scores["paper"], ratings)
            rows[-1]["spearman_less_paper"] = interval(rank_correlation, *pair)
            rows[-1]["qwk_less_paper"] = interval(kappa, *pair)
    return rows


def main() -> None:
    """Rate each set by each embedder, write the results."""
    parser = argparse.ArgumentParser(description="Libraries on records they have not seen.")
    parser.add_argument("--ratings", type=Path, required=True, help="folder of rated records")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--embedders", nargs="+", default=["wordllama"])
    args = parser.parse_args()
    rows = []
    for name in args.sets:
        train, test = split(read(args.ratings, name))
        for embedder in args.embedders:
            rows += judge(name, embedder, train, test)
            print(*rows[-len(SCORERS) :], sep="\n", flush=True)
    title = "Libraries of 80 % of a set on the other 20 %, Spearman, QWK, accuracy, ECE of P(>= 4)"
    measure.save("knn_bayes_quality", title, args.ratings, rows)


if __name__ == "__main__":
    main()
