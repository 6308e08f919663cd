"""The head: a ridge regression of the rating on a record's vector and its lengths.

Shapes: N records, D dimensions, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from numpy.typing import NDArray

PENALTIES = (3.0, 10.0, 30.0, 100.0)
"""Ridge penalties that the folds choose from."""

NUM_FOLDS = 5
ROWS_AT_A_TIME = 8192

DECIMALS = 7
"""Of the stored weights: coarser than what another number of BLAS threads changes."""


@dataclass(frozen=True)
class Head:
    """A fitted head.

    Attributes:
        weights_F: (F,) float64, F = 2 D + 7.
        low: Least log lengths of the library's prompts and completions.
        high: Greatest.
        mean: Mean.
        std: Standard deviation, 1 where it would be 0.
        penalty: The ridge penalty that the folds chose.
    """

    weights_F: NDArray[np.float64]  # noqa: N815
    low: tuple[float, float]
    high: tuple[float, float]
    mean: tuple[float, float]
    std: tuple[float, float]
    penalty: float

    def predict(
        self, vectors_ND: NDArray[np.float32], num_bytes_N2: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Ratings by the head alone.

        Args:
            vectors_ND: (N, D) float32.
            num_bytes_N2: (N, 2) UTF-8 bytes of prompt and completion.

        Returns:
            (N,) float64, not clipped. Lengths beyond the library's count as its extremes, so
            that no text earns more by being longer than all that was ever rated.
        """
        scaled_N2 = self._scale(num_bytes_N2)
        out = np.empty(len(vectors_ND))
        for start in range(0, len(out), ROWS_AT_A_TIME):
            part = slice(start, start + ROWS_AT_A_TIME)
            out[part] = features(vectors_ND[part], scaled_N2[part]) @ self.weights_F
        return out

    def to_dict(self) -> dict[str, Any]:
        """All but the weights, as it stands in the manifest."""
        return {name: value for name, value in vars(self).items() if name != "weights_F"}

    def _scale(self, num_bytes_N2: NDArray[np.int64]) -> NDArray[np.float64]:
        logs_N2 = np.clip(np.log1p(num_bytes_N2), self.low, self.high)
        scaled_N2: NDArray[np.float64] = (logs_N2 - np.array(self.mean)) / np.array(self.std)
        return scaled_N2


def features(
    vectors_ND: NDArray[np.float32], scaled_N2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Vector, vector times completion length, and a small polynomial of both lengths.

    Args:
        vectors_ND: (N, D).
        scaled_N2: (N, 2) standardised log lengths of prompt and completion.

    Returns:
        (N, 2 D + 7) float64.
    """
    prompt, completion = scaled_N2[:, :1], scaled_N2[:, 1:]
    wide = vectors_ND.astype(np.float64)
    return np.hstack(
        [
            wide,
            wide * completion,
            prompt,
            completion,
            prompt**2,
            prompt * completion,
            completion**2,
            completion**3,
            np.ones_like(prompt),
        ]
    )


def draw_folds(num_records: int, seed: int) -> NDArray[np.int64]:
    """A fold of each record, all of the same size but for one: (N,) in 0..NUM_FOLDS - 1."""
    return np.random.default_rng(seed).permutation(num_records) % NUM_FOLDS


def fit_head(
    vectors_ND: NDArray[np.float32],
    num_bytes_N2: NDArray[np.int64],
    ratings_N: NDArray[np.int64],
    folds_N: NDArray[np.int64],
    reporter: Reporter = SILENT,
) -> tuple[Head, NDArray[np.float64]]:
    """Fits a head, and predicts each record by one that has not seen its fold.

    Args:
        vectors_ND: (N, D) float32.
        num_bytes_N2: (N, 2) UTF-8 bytes of prompt and completion.
        ratings_N: (N,) ratings.
        folds_N: (N,) as `draw_folds` gives them.
        reporter: Where progress goes.

    Returns:
        The head on all records, and (N,) predictions across folds. The penalty is the one
        with the least squared error across folds.

    Notes:
        O(N F²) for the products, O(F³) for each fold and penalty; with fewer records than
        features O(N² F), O(N³) and N F numbers in memory.

    Source:
        Ours; Hoerl and Kennard, 1970.
    """
    scale = _scale_of(num_bytes_N2)
    blank = Head(np.zeros(0), **scale, penalty=0.0)
    scaled_N2 = blank._scale(num_bytes_N2)
    num_features = 2 * vectors_ND.shape[1] + 7
    ridge = (_FewRows if len(ratings_N) < num_features else _ManyRows)(
        vectors_ND, scaled_N2, ratings_N, folds_N, reporter
    )
    weights = np.empty((len(PENALTIES), NUM_FOLDS, num_features))
    for fold in range(NUM_FOLDS):
        reporter("fit head", fold, NUM_FOLDS + 1)
        weights[:, fold] = ridge.weights(PENALTIES, without=fold)
    reporter("fit head", NUM_FOLDS, NUM_FOLDS + 1)
    predicted = np.empty((len(PENALTIES), len(ratings_N)))
    for start in range(0, len(ratings_N), ROWS_AT_A_TIME):
        part = slice(start, start + ROWS_AT_A_TIME)
        rows = features(vectors_ND[part], scaled_N2[part])
        for fold in range(NUM_FOLDS):
            inside = np.flatnonzero(folds_N[part] == fold)
            predicted[:, start + inside] = weights[:, fold] @ rows[inside].T
    best = int(((predicted - ratings_N) ** 2).mean(axis=1).argmin())
    [final] = ridge.weights(PENALTIES[best : best + 1])
    head = Head(final.round(DECIMALS), **scale, penalty=PENALTIES[best])
    return head, predicted[best].round(DECIMALS)


def _scale_of(num_bytes_N2: NDArray[np.int64]) -> dict[str, tuple[float, float]]:
    logs_N2 = np.log1p(num_bytes_N2)
    std = logs_N2.std(axis=0)
    std[std == 0] = 1
    parts = {"low": logs_N2.min(axis=0), "high": logs_N2.max(axis=0)}
    parts |= {"mean": logs_N2.mean(axis=0), "std": std}
    return {name: (float(a), float(b)) for name, (a, b) in parts.items()}


class _ManyRows:
    """Ridge by the products of features, which are held for each fold."""

    def __init__(
        self,
        vectors_ND: NDArray[np.float32],
        scaled_N2: NDArray[np.float64],
        ratings_N: NDArray[np.int64],
        folds_N: NDArray[np.int64],
        reporter: Reporter,
    ) -> None:
        num_features = 2 * vectors_ND.shape[1] + 7
        self._gram = np.zeros((NUM_FOLDS, num_features, num_features))
        self._moment = np.zeros((NUM_FOLDS, num_features))
        done = 0
        for fold in range(NUM_FOLDS):
            rows = np.flatnonzero(folds_N == fold)
            for start in range(0, len(rows), ROWS_AT_A_TIME):
                part = rows[start : start + ROWS_AT_A_TIME]
                reporter("multiply features", done, len(folds_N))
                done += len(part)
                x = features(vectors_ND[part], scaled_N2[part])
                self._gram[fold] += x.T @ x
                self._moment[fold] += x.T @ ratings_N[part]

    def weights(
        self, penalties: tuple[float, ...], without: int | None = None
    ) -> NDArray[np.float64]:
        """Ridge weights for each penalty; the constant, which is last, bears none."""
        folds = [fold for fold in range(NUM_FOLDS) if fold != without]
        gram, moment = sum(self._gram[fold] for fold in folds), self._moment[folds].sum(axis=0)
        diagonal = np.diagonal(gram).copy()
        solved = []
        for penalty in penalties:
            ridge = np.full(len(gram), penalty)
            ridge[-1] = 1e-9
            np.fill_diagonal(gram, diagonal + ridge)
            solved.append(np.linalg.solve(gram, moment))
        return np.array(solved)


class _FewRows:
    """The same by the products of records, for fewer records than features."""

    def __init__(
        self,
        vectors_ND: NDArray[np.float32],
        scaled_N2: NDArray[np.float64],
        ratings_N: NDArray[np.int64],
        folds_N: NDArray[np.int64],
        reporter: Reporter,
    ) -> None:
        del reporter  # one product of records is short of a second
        self._features_NF = features(vectors_ND, scaled_N2)
        self._ratings_N = ratings_N
        self._folds_N = folds_N

    def weights(
        self, penalties: tuple[float, ...], without: int | None = None
    ) -> NDArray[np.float64]:
        """As of `_ManyRows`; features and ratings around their means need no constant."""
        rows = np.flatnonzero(self._folds_N != (-1 if without is None else without))
        x, y = self._features_NF[rows], self._ratings_N[rows]
        x_mean, y_mean = x.mean(axis=0), y.mean()
        x -= x_mean
        products = x @ x.T
        solved = []
        for penalty in penalties:
            ridge = penalty * np.eye(len(rows))
            solved.append(x.T @ np.linalg.solve(products + ridge, y - y_mean))
            solved[-1][-1] = y_mean - x_mean @ solved[-1]
        return np.array(solved)
