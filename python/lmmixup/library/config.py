"""What a library is made of."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from lmmixup.embed import EmbedConfig
from lmmixup.stage import StageConfig

LEXICAL_DIM = 2048
"""Dimensions of `lexical` where none are given: more than for clusters, because the head reads
single words from them."""


class LibraryConfig(StageConfig):
    """How rated records become a library."""

    rating: str = "rating"
    """Column with the ratings, whole numbers 0 to 5; null is unrated and left out."""

    scorer: Literal["residual", "paper"] = "residual"
    """`residual`: a ridge head, corrected by how its neighbours were rated against it (ours).
    `paper`: KNN-Bayes as in LM-Mixup."""

    text: Literal["record", "completion"] = "record"
    """What is embedded: prompt and completion, or the completion alone, which is what rewards
    compare with."""

    task_type: str | None = None
    """Take records of this task type only; the others are dropped."""

    neighbours: int = Field(default=16, ge=1, le=256)
    """Nearest neighbours that a rating rests on."""

    transition_neighbours: int = Field(default=2, ge=1, le=256)
    """Nearest neighbours that the transition matrix is counted on (scorer `paper`)."""

    smoothing: float = Field(default=0.01, gt=0)
    """Added to each count of the transition matrix (scorer `paper`)."""

    cut_points: Literal["prior", "kappa"] = "prior"
    """Where `rating` steps up along the score (scorer `residual`): `prior` gives each rating the
    share that it has in the library, `kappa` has the greatest quadratic weighted kappa and gives
    high and low ratings more often than the judge."""

    embedder: str = "lexical"
    """What makes the vectors, as of `lmmixup embed`: `lexical`, `wordllama`, `static:FOLDER`,
    `st:MODEL` or `openai:MODEL`. New records are embedded by the same."""

    dim: int | None = Field(default=None, ge=8, le=8192)
    """Dimensions; 2048 for `lexical`, the model's own for the others."""

    base_url: str | None = None
    """Address of the server for `openai:MODEL`."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the folds on which the scorer is fitted."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.embed_config().kind in ("npy", "column"):
            raise ValueError(
                "a library must embed records that it has not seen, which "
                f"{self.embedder!r} cannot; name an embedder"
            )
        return self

    def embed_config(self) -> EmbedConfig:
        """How texts become vectors."""
        dim = LEXICAL_DIM if self.dim is None and self.embedder == "lexical" else self.dim
        return EmbedConfig(embedder=self.embedder, dim=dim, base_url=self.base_url)
