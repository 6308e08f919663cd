"""How far judges agree with each other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.agreement import quadratic, unequal, weighted_kappa

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt


@dataclass(frozen=True)
class Agreement:
    """Two judges on the records that both rated.

    Attributes:
        judges: Their names.
        num_records: Records that both rated.
        exact: Share with the same rating.
        kappa: Cohen's kappa.
        qwk: Quadratic weighted kappa.
        high: Share that each rates high, in the order of `judges`.
    """

    judges: tuple[str, str]
    num_records: int
    exact: float
    kappa: float
    qwk: float
    high: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """For the manifest; `None` in place of NaN, which JSON has not."""
        return asdict(
            self, dict_factory=lambda pairs: {name: _without_nan(value) for name, value in pairs}
        )


def judge_agreement(
    ratings: Mapping[str, npt.NDArray[np.float64]], *, at: float = 4.0
) -> Iterator[Agreement]:
    """Compares every two judges.

    Args:
        ratings: (N,) ratings by judge, NaN where unrated.
        at: Least rating that is high.

    Yields:
        One comparison for each pair. Kappas are NaN where both give everything one rating.

    Source:
        Cohen, 1960 and 1968.

    Example:
        >>> [pair] = judge_agreement({"a": np.array([1.0, 2, 3]), "b": np.array([1.0, 2, 2])})
        >>> round(pair.exact, 3), round(pair.kappa, 3), round(pair.qwk, 3)
        (0.667, 0.5, 0.667)
    """
    for one, other in combinations(ratings, 2):
        both_N = ~(np.isnan(ratings[one]) | np.isnan(ratings[other]))
        a_N, b_N = ratings[one][both_N], ratings[other][both_N]
        values_C, codes = np.unique(np.concatenate([a_N, b_N]), return_inverse=True)
        pairs = codes[: len(a_N)] * len(values_C) + codes[len(a_N) :]
        table_CC = np.bincount(pairs, minlength=len(values_C) ** 2).astype(np.float64)
        table_CC = table_CC.reshape(len(values_C), len(values_C))
        yield Agreement(
            (one, other),
            len(a_N),
            float(np.trace(table_CC)) / max(len(a_N), 1),
            weighted_kappa(table_CC, unequal(values_C)),
            weighted_kappa(table_CC, quadratic(values_C)),
            (_share(a_N >= at), _share(b_N >= at)),
        )


def _share(is_high_N: npt.NDArray[np.bool_]) -> float:
    return float(is_high_N.mean()) if len(is_high_N) else float("nan")


def _without_nan(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and np.isnan(value) else value
