"""What the stage `curate` can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lmmixup.embed import NeighboursConfig


class CurateConfig(NeighboursConfig):
    """How wrong ratings are found and replaced."""

    rating: str = "rating"
    """Column with the judge's ratings, whole numbers; null is unrated and stays so."""

    method: Literal["posterior", "paper"] = "posterior"
    """`posterior`: transitions from coherent regions, then the most probable rating given the
    record's own and its neighbours' (ours). `paper`: transitions from the whole pool, then the
    majority of the neighbours, for comparison."""

    neighbours: int = Field(default=10, ge=2)
    """Nearest neighbours that a rating is compared with; the two nearest make the transitions."""

    confidence: float | None = Field(default=None, gt=0, le=1)
    """Least probability (`posterior`, default 0.6) or share of the neighbours (`paper`, default
    0.5) of a rating that replaces another."""

    judges: tuple[str, ...] = ()
    """Columns of several judges, to be compared with each other."""

    at: float = Field(default=4.0, allow_inf_nan=False)
    """Least rating of high quality, for the share that each judge gives it to."""

    seed: int = Field(default=0, ge=0, lt=2**64)
    """Of the records that the regions are drawn around."""

    @property
    def least_confidence(self) -> float:
        """`confidence`, or the method's default."""
        if self.confidence is not None:
            return self.confidence
        return 0.5 if self.method == "paper" else 0.6
