"""Libraries of the training articles, and whether they tell quality from length."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lmmixup import library
from lmmixup.contract import join_answer
from lmmixup.library.metrics import confusion, quadratic_kappa, spearman
from lmmixup.library.scores import NUM_CLASSES
from lmmixup.pool import open_pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from lmmixup.mixture.config import MixtureConfig
    from lmmixup.stage import StageRun

LEXICAL_DIM = 1024
"""Dimensions of `lexical` where none are given."""

NUM_LENGTHS = 20
"""Classes of length in which ratings are made equally frequent."""

FEWEST = 30
"""Records that a rating needs to count in the length-matched subset."""


class LibraryRecords:
    """Collects what the libraries are made of, evenly over ratings.

    Args:
        config: Seed and size.
    """

    def __init__(self, config: MixtureConfig) -> None:
        self._config = config
        self._by_kind: dict[str, dict[int, dict[bytes, dict[str, Any]]]] = {}

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Takes the targets and sources of some samples."""
        for row in rows:
            kind = row["task_type"]
            self._take(kind, row["id"], row["completion"], row["rating"], row["article"])
            for one in row["sources"]:
                prompt = "" if kind == "para" else one["prompt"]
                body = join_answer(prompt, one["completion"], kind)
                self._take(kind, one["id"], body, one["rating"], one["article"])

    def _take(self, kind: str, record_id: str, body: str, rating: int, article: str) -> None:
        text = f"{self._config.seed}|{record_id}".encode()
        drawn = hashlib.blake2b(text, digest_size=8).digest()
        row = {
            "id": record_id, "source": article, "prompt": "", "completion": body,
            "task_type": kind, "rating": rating, "article": article,
        }  # fmt: skip
        self._by_kind.setdefault(kind, {}).setdefault(rating, {})[drawn] = row

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """The records of each library: of each rating as many, those with the lowest hash."""
        for kind, by_rating in self._by_kind.items():
            left, rows = self._config.library_records, []
            fewest_first = sorted(by_rating.values(), key=len)
            for number, records in enumerate(fewest_first):
                share = left // (len(fewest_first) - number)
                taken = sorted(records)[:share]
                rows += [records[drawn] for drawn in taken]
                left -= len(taken)
            rows.sort(key=lambda row: str(row["id"]))
            yield kind, pa.Table.from_pylist(rows).cast(_schema())


def _schema() -> pa.Schema:
    text = [pa.field(name, pa.string()) for name in ("id", "source", "prompt", "completion")]
    more = [pa.field("task_type", pa.string()), pa.field("rating", pa.int8())]
    return pa.schema([*text, *more, pa.field("article", pa.string())])


def build_libraries(
    run: StageRun, records: LibraryRecords, config: MixtureConfig, *, num_threads: int
) -> dict[str, dict[str, Any]]:
    """Builds `library/TASK_TYPE/` as `lmmixup library build` does, and rates each by itself.

    Args:
        run: A library that an earlier, killed run finished is taken from its work folder.
        records: What they are made of.
        config: Embedder and dimensions.
        num_threads: 0 takes all cores.

    Returns:
        Figures of each task type; a task type that is rated alike throughout has none.
    """
    dim = config.library_dim
    if dim is None and config.library_embedder == "lexical":
        dim = LEXICAL_DIM
    given = library.LibraryConfig.model_validate(
        {
            "text": "completion",
            "embedder": config.library_embedder,
            "dim": dim,
            "seed": config.seed,
        }
    )
    figures = {}
    for kind, table in records.tables():
        made = run.work / "library" / kind
        if not made.exists():
            run.reporter.note(f"library of {kind}: {table.num_rows:,} records")
            library.run(open_pool(table), given, output=made, num_threads=num_threads)
        figures[kind] = judge(made, num_threads=num_threads)
        shutil.copytree(made, run.folder / "library" / kind)
    return figures


def judge(folder: Path, *, num_threads: int = 0) -> dict[str, Any]:
    """How a library rates its own records by the others, at all lengths and at the same ones.

    Args:
        folder: The library.
        num_threads: 0 takes all cores.

    Returns:
        `records`, `qwk` (quadratic weighted kappa), and of the length-matched subset `matched`
        (its records), `qwk_matched`, and `length_spearman` of rating and length there.

    Source:
        Ours.
    """
    opened = library.open_library(folder)
    scores = opened.scorer.leave_one_out(num_threads=num_threads)
    ratings_N = opened.ratings_N
    num_bytes_N = opened.scorer.examples.num_bytes_N2.sum(axis=1)
    rows = length_matched(ratings_N, num_bytes_N)

    def kappa(some: NDArray[np.int64]) -> float:
        return quadratic_kappa(confusion(ratings_N[some], scores.rating_Q[some], NUM_CLASSES))

    return {
        "records": len(ratings_N),
        "qwk": round(kappa(np.arange(len(ratings_N))), 4),
        "matched": len(rows),
        "qwk_matched": round(kappa(rows), 4),
        "length_spearman": round(spearman(num_bytes_N[rows], ratings_N[rows]), 4),
    }


def length_matched(
    ratings_N: NDArray[np.int64], num_bytes_N: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rows in which every rating has the same lengths.

    Lengths fall into classes of equal mass; in each, every rating is taken as often as the
    rarest one there. A rating with few records in all is left out.

    Args:
        ratings_N: (N,) ratings.
        num_bytes_N: (N,) lengths in bytes.

    Returns:
        (M,) rows, ascending; the first of each rating in a class.

    Source:
        Ours.
    """
    frequent = [rating for rating in range(NUM_CLASSES) if (ratings_N == rating).sum() >= FEWEST]
    order = np.argsort(num_bytes_N, kind="stable")
    out: list[NDArray[np.int64]] = []
    for part in np.array_split(order, NUM_LENGTHS):
        rows = np.sort(part)
        by_rating = [rows[ratings_N[rows] == rating] for rating in frequent]
        fewest = min((len(one) for one in by_rating), default=0)
        out += [one[:fewest] for one in by_rating]
    return np.sort(np.concatenate(out)) if out else np.zeros(0, np.int64)
