"""What the stage `select` can be told."""

from __future__ import annotations

from math import gcd
from pathlib import Path  # noqa: TC003  pydantic reads the annotation
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from lmmixup.embed import NeighboursConfig

StrategyName = Literal[
    "ds2", "random", "longest", "perplexity", "ifd", "alpagasus", "deita", "knn", "less"
]
LayoutName = Literal["trl", "llama-factory", "axolotl"]


class SelectConfig(NeighboursConfig):
    """Which records are selected, how many, and in which form they are written."""

    strategy: StrategyName = "ds2"
    """`ds2`: highest rating, then longest tail. `knn`: longest tail. `random`. `longest`: longest
    completion. `alpagasus`: a drawn part of those rated at least `at`. `deita`: complexity x
    quality, leaving out what is too similar. `perplexity` and `ifd`: by a model, highest first.
    `less`: gradients most like those of the records of `target`."""

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
    """Column with the complexity for `deita`; the scorers take its place."""

    quality: str = "quality"
    """Column with the quality for `deita`; the scorers take its place."""

    complexity_scorer: str | None = None
    """Folder or name of Deita's model for complexity, such as `hkust-nlp/deita-complexity-scorer`;
    without it and `quality_scorer` the numbers come from the columns."""

    quality_scorer: str | None = None
    """Folder or name of Deita's model for quality, such as `hkust-nlp/deita-quality-scorer`."""

    max_similarity: float = Field(default=0.9, ge=-1, le=1)
    """Strategy `deita` leaves out a record with a cosine above this to a selected one."""

    model: str | None = None
    """Folder or name of a causal language model, for `perplexity`, `ifd` and `less`."""

    max_record_tokens: int = Field(default=2048, ge=16)
    """Tokens of prompt and completion that the model reads; what is longer is cut and counted."""

    target: tuple[Path, ...] = ()
    """Pools with examples of what the trained model shall do well, for `less`; those of one source
    are a subtask, and the best one counts."""

    checkpoints: tuple[Path, ...] = ()
    """LoRA checkpoints of `model` for `less`, written by a Trainer of transformers with their
    optimiser, in the order of training; without them one is trained on a part of the pool."""

    warmup_share: float = Field(default=0.05, gt=0, le=1)
    """Share of the pool on which `less` trains its checkpoints."""

    warmup_epochs: int = Field(default=4, ge=1, le=100)
    """Epochs of that training; each gives a checkpoint."""

    warmup_rate: float = Field(default=2e-5, gt=0, le=1)
    """Highest learning rate of that training."""

    lora_rank: int = Field(default=128, ge=1, le=1024)
    """Rank of the adapter that is trained."""

    gradient_dim: int = Field(default=8192, ge=8, le=1 << 16)
    """Dimensions to which `less` projects gradients."""

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
        if self.strategy in ("perplexity", "ifd", "less") and self.model is None:
            raise ValueError(f"strategy {self.strategy} needs a model")
        if (self.strategy == "less") != bool(self.target):
            raise ValueError("strategy less needs a target, and a target needs strategy less")
        if (self.complexity_scorer is None) != (self.quality_scorer is None):
            raise ValueError("complexity_scorer and quality_scorer go together")
        if self.distilled is None and "ratio" in self.model_fields_set:
            raise ValueError("ratio has no effect without distilled")
        return self

    @property
    def units(self) -> tuple[int, int]:
        """The ratio in lowest terms: distilled, original."""
        distilled, original = map(int, self.ratio.split(":"))
        common = gcd(distilled, original)
        return distilled // common, original // common
