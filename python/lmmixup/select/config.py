"""What the stage `select` can be told."""

from __future__ import annotations

from math import gcd
from pathlib import Path  # noqa: TC003  pydantic reads the annotation
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from lmmixup.embed import VectorsConfig

StrategyName = Literal["ds2", "random", "longest", "perplexity", "ifd", "alpagasus", "deita", "knn"]
LayoutName = Literal["trl", "llama-factory", "axolotl"]


class SelectConfig(VectorsConfig):
    """Which records are selected, how many, and in which form they are written."""

    strategy: StrategyName = "ds2"
    """`ds2`: highest rating, then longest tail. `knn`: longest tail. `random`. `longest`: longest
    completion. `alpagasus`: a drawn part of those rated at least `at`. `deita`: complexity x
    quality, leaving out what is too similar. `perplexity` and `ifd`: by a model, highest first."""

    num: int | None = Field(default=None, ge=1)
    """Records to select; all that the strategy allows where not given."""

    distilled: Path | None = None
    """Pool of distilled records, to be merged with the original ones of POOL."""

    ratio: str = "5:5"
    """Distilled to original records in the merge, exactly kept."""

    allow_fewer: bool = False
    """Where there are fewer records than `num`, select as many as there are at the same ratio
    instead of failing."""

    rating: str = "rating"
    """Column with the ratings for `ds2` and `alpagasus`; unrated records are not selected."""

    at: float = Field(default=4.0, allow_inf_nan=False)
    """Least rating for `alpagasus`."""

    neighbours: int = Field(default=15, ge=1)
    """Neighbours whose mean cosine distance is a record's tail."""

    complexity: str = "complexity"
    """Column with the complexity for `deita`."""

    quality: str = "quality"
    """Column with the quality for `deita`."""

    max_similarity: float = Field(default=0.9, ge=-1, le=1)
    """Strategy `deita` leaves out a record with a cosine above this to a selected one."""

    model: str | None = None
    """Folder or name of a causal language model, for `perplexity` and `ifd`."""

    max_tokens: int = Field(default=2048, ge=16)
    """Tokens of prompt and completion that the model reads; what is longer is cut and counted."""

    shuffle: bool = True
    """Write the selected records in a drawn order; without it best first."""

    layout: tuple[LayoutName, ...] = ()
    """Trainers for which files are written beside `data.parquet`: `trl`, `llama-factory`,
    `axolotl`."""

    seed: int = Field(default=0, ge=0, lt=2**64)
    """Of everything drawn."""

    @field_validator("ratio")
    @classmethod
    def _check_ratio(cls, ratio: str) -> str:
        parts = ratio.split(":")
        if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
            raise ValueError("expected two whole numbers such as 3:7")
        if not any(map(int, parts)):
            raise ValueError("expected at least one number above 0")
        return ratio

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.strategy in ("perplexity", "ifd") and self.model is None:
            raise ValueError(f"strategy {self.strategy} needs a model")
        if self.distilled is None and "ratio" in self.model_fields_set:
            raise ValueError("ratio has no effect without distilled")
        return self

    @property
    def units(self) -> tuple[int, int]:
        """The ratio in lowest terms: distilled, original."""
        distilled, original = map(int, self.ratio.split(":"))
        common = gcd(distilled, original)
        return distilled // common, original // common
