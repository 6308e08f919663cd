"""From which cosine an answer counts as aligned with its reference, by embedder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ALIGNED_FROM = 4.0
"""Human similarity, 0 to 5, from which two texts say the same; 4 is "equivalent, with unimportant
details that differ" in STS-B."""

FALSE_ACCEPTS = 0.05
"""Largest share of pairs that do not say the same and count as aligned all the same. A choice: what
share 0.8 has with the paper's bge-m3 is not known here."""

PAPER_MODEL = "bge-m3"
PAPER_THRESHOLD = 0.8

LEXICAL_VERSION = 2
LEXICAL_THRESHOLD = 0.84
"""On STS-B .80 with the idf of its own words and .84 with that of Alpaca; the stricter one."""

WORDLLAMA_WEIGHTS = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"
WORDLLAMA_THRESHOLD = 0.88


def known_threshold(identity: Mapping[str, Any]) -> float | None:
    """The threshold of an embedder that was measured, or that the paper names.

    Args:
        identity: As the embedder tells it.

    Returns:
        Least cosine that counts as aligned; `None` for an embedder that nobody measured.

    Source:
        METHOD §5 for bge-m3; docs/decisions/0015-rewards.md for the others.

    Example:
        >>> known_threshold({"embedder": "openai", "model": "BAAI/bge-m3"})
        0.8
    """
    kind = identity.get("embedder")
    if kind == "lexical" and identity.get("version") == LEXICAL_VERSION:
        return LEXICAL_THRESHOLD
    if kind == "static" and identity.get("weights") == WORDLLAMA_WEIGHTS:
        return WORDLLAMA_THRESHOLD
    name = str(identity.get("model", "")).rpartition("/")[2].lower()
    return PAPER_THRESHOLD if name == PAPER_MODEL else None


@dataclass(frozen=True)
class Calibration:
    """A threshold and what it does on the pairs that it was taken from.

    Attributes:
        threshold: Least cosine that counts as aligned, in steps of 0.001.
        false_accepts: Share of the pairs that do not say the same at or above it.
        true_accepts: Share of the pairs that do say the same at or above it; `None` without any.
        num_not_aligned: Pairs that do not say the same.
        num_aligned: Pairs that do.
    """

    threshold: float
    false_accepts: float
    true_accepts: float | None
    num_not_aligned: int
    num_aligned: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def calibrate_alignment(
    cosines_N: NDArray[np.floating],
    similarities_N: NDArray[np.floating],
    *,
    false_accepts: float = FALSE_ACCEPTS,
    aligned_from: float = ALIGNED_FROM,
) -> Calibration:
    """The least threshold that keeps a share of false accepts.

    Args:
        cosines_N: (N,) cosine of each pair of texts.
        similarities_N: (N,) how alike people call them; NaN is left out.
        false_accepts: Largest share, in 0..1, of the pairs below `aligned_from` that may count
            as aligned.
        aligned_from: Similarity from which two texts say the same.

    Returns:
        The threshold, and the shares at it.

    Raises:
        DataError: Too few pairs for such a share, or no threshold up to 1 keeps it.

    Source:
        METHOD §5.

    Example:
        >>> import numpy as np
        >>> cosines = np.array([0.9, 0.7, 0.5, 0.3, 0.8])
        >>> made = calibrate_alignment(cosines, np.array([1, 2, 0, 1, 5]), false_accepts=0.25)
        >>> made.threshold, made.false_accepts, made.true_accepts
        (0.701, 0.25, 1.0)
    """
    not_aligned = np.sort(cosines_N[similarities_N < aligned_from])[::-1]
    aligned = cosines_N[similarities_N >= aligned_from]
    num_allowed = int(false_accepts * len(not_aligned))
    if num_allowed == 0 or num_allowed == len(not_aligned):
        raise DataError(
            f"expected enough pairs of a similarity below {aligned_from:g} for false accepts of "
            f"{false_accepts:g}, got {len(not_aligned):,}"
        )
    threshold = float(np.floor(not_aligned[num_allowed] * 1000) + 1) / 1000
    if threshold > 1:
        raise DataError(
            f"no threshold up to 1 keeps false accepts of {false_accepts:g}: "
            f"{int((not_aligned >= 1).sum()):,} of {len(not_aligned):,} pairs of a similarity "
            f"below {aligned_from:g} have a cosine of 1"
        )
    return Calibration(
        threshold,
        float((not_aligned >= threshold).mean()),
        float((aligned >= threshold).mean()) if len(aligned) else None,
        len(not_aligned),
        len(aligned),
    )
