"""How good a library is: each of its records rated by the others."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import FileError
from lmmixup.library.charts import draw_report
from lmmixup.library.metrics import (
    calibration_bins,
    confusion,
    expected_calibration_error,
    quadratic_kappa,
    spearman,
)
from lmmixup.library.scores import HIGH, NUM_CLASSES, Scores
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lmmixup.library.store import Library


@dataclass(frozen=True)
class ClassReport:
    """One rating.

    Attributes:
        rating: 0 to 5.
        num_records: Library records that have it.
        num_rated: Records that got it from the others.
        precision: Share of the latter that have it; NaN where there are none.
        recall: Share of the former that got it; NaN where there are none.
        mean_expected: Mean expected rating of the former.
    """

    rating: int
    num_records: int
    num_rated: int
    precision: float
    recall: float
    mean_expected: float


@dataclass(frozen=True)
class Report:
    """How ratings by a scorer agree with those of the judge.

    Attributes:
        method: How the neighbours were found: `exact`, or on a GPU (`triton`).
        num_records: Records that were compared.
        accuracy: Share with the judge's rating.
        qwk: Quadratic weighted kappa of the rating.
        spearman: Rank correlation of the expected rating.
        ece: Calibration error of P(rating >= 4), 15 bins of equal mass.
        classes: One entry for each rating.
        bins: (15, 3) count, mean probability and share of the judge's ratings >= 4 in a bin.
        confusion: (6, 6) counts by the judge's rating (rows) and the scorer's.
    """

    method: str
    num_records: int
    accuracy: float
    qwk: float
    spearman: float
    ece: float
    classes: tuple[ClassReport, ...]
    bins: tuple[tuple[float, float, float], ...]
    confusion: tuple[tuple[int, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; NaN becomes null."""
        text = json.dumps(asdict(self)).replace("NaN", "null")
        stored: dict[str, Any] = json.loads(text)
        return stored


def compare(scores: Scores, ratings_N: NDArray[np.int64]) -> Report:
    """Compares scores with the judge's ratings.

    Args:
        scores: Of N records.
        ratings_N: (N,) ratings 0..5.

    Returns:
        The figures.
    """
    table_CC = confusion(ratings_N, scores.rating_Q, NUM_CLASSES)
    bins_B3 = calibration_bins(scores.p_ge_4_Q, ratings_N >= HIGH)
    expected_N = scores.expected_Q
    return Report(
        method=scores.neighbours.method,
        num_records=len(ratings_N),
        accuracy=float(np.trace(table_CC) / len(ratings_N)),
        qwk=quadratic_kappa(table_CC),
        spearman=spearman(expected_N, ratings_N),
        ece=expected_calibration_error(bins_B3),
        classes=tuple(_of_class(c, table_CC, expected_N, ratings_N) for c in range(NUM_CLASSES)),
        bins=tuple((float(n), float(p), float(s)) for n, p, s in bins_B3),
        confusion=tuple(tuple(int(count) for count in row) for row in table_CC),
    )


def report(
    library: Library,
    *,
    folder: Path | None = None,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> Report:
    """Leave-one-out figures of a library.

    Args:
        library: Whose records are rated, each by the others.
        folder: Where `report.json`, `reliability.png` and `confusion.png` go; `None` writes none.
        num_threads: 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        The figures.

    Raises:
        FileError: The folder cannot be written.

    Source:
        Ours.
    """
    scores = library.scorer.leave_one_out(num_threads=num_threads, reporter=reporter)
    result = compare(scores, library.ratings_N)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "report.json").write_text(json.dumps(result.to_dict(), indent=2) + "\n")
            draw_report(result, folder)
        except OSError as error:
            raise FileError(f"{folder}: {error.strerror or error}") from error
    return result


def _of_class(
    rating: int,
    table_CC: NDArray[np.int64],
    expected_N: NDArray[np.float64],
    ratings_N: NDArray[np.int64],
) -> ClassReport:
    num_records, num_rated = int(table_CC[rating].sum()), int(table_CC[:, rating].sum())
    right = int(table_CC[rating, rating])
    return ClassReport(
        rating,
        num_records,
        num_rated,
        right / num_rated if num_rated else float("nan"),
        right / num_records if num_records else float("nan"),
        float(expected_N[ratings_N == rating].mean()) if num_records else float("nan"),
    )
