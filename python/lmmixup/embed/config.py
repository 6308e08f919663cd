"""Which embedder, and how its vectors are kept."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotations
from typing import Literal, Self

from pydantic import Field, model_validator

from lmmixup.llm import ServerConfig
from lmmixup.stage import StageConfig

KINDS = ("lexical", "wordllama", "static", "st", "openai", "npy", "column")
"""What an embedder spec may begin with."""

NEEDS_ARGUMENT = {
    "static": "static:FOLDER",
    "st": "st:MODEL",
    "openai": "openai:MODEL",
    "npy": "npy:FILE",
    "column": "column:NAME",
}


class EmbedConfig(ServerConfig):
    """How records become vectors."""

    embedder: str = "lexical"
    """What makes the vectors: `lexical`, `wordllama`, `static:FOLDER` (model2vec), `st:MODEL`
    (sentence-transformers), `openai:MODEL` (any compatible server), `npy:FILE` or `column:NAME`."""

    vectors: Path | None = None
    """Vectors that exist already: a `.npy` file in the order of the records, a Parquet or Arrow
    file, or the result folder of `lmmixup embed`; the same as `npy:FILE`."""

    vector_column: str | None = None
    """Column with the vectors, in the pool or in the file of `vectors`; without the latter the
    same as `column:NAME`."""

    dim: int | None = Field(default=None, ge=8, le=8192)
    """Dimensions; the default is 256 for `lexical` and the model's own for the others."""

    dtype: Literal["f32", "f16", "i8"] = "f32"
    """How `vectors.npy` is stored; `i8` has one scale a record in `scales.npy`."""

    max_text_tokens: int | None = Field(default=None, ge=1)
    """Tokens of a text that count; the default is the model's own."""

    batch_size: int = Field(default=64, ge=1, le=65536)
    """Texts in one call of a transformer or server."""

    cache: str = "auto"
    """Folder where vectors of transformers and servers are kept by content; `auto` is the user's
    cache folder, `none` keeps nothing."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        kind, argument = self.kind, self.argument
        if kind not in KINDS:
            raise ValueError(
                f"unknown embedder {self.embedder!r}; expected one of {', '.join(KINDS)}"
            )
        if kind in NEEDS_ARGUMENT and not argument:
            raise ValueError(f"embedder {kind!r} needs a name: {NEEDS_ARGUMENT[kind]}")
        if kind in ("lexical", "wordllama") and argument:
            raise ValueError(f"embedder {kind!r} takes no name, got {self.embedder!r}")
        if self.embedder != "lexical" and (self.vectors or self.vector_column):
            raise ValueError("vectors or vector_column replace the embedder; give one of them")
        if kind != "openai" and self.base_url is not None:
            raise ValueError("base_url is for openai:MODEL only")
        return self

    @property
    def kind(self) -> str:
        """The spec's first part, or what `vectors` and `vector_column` stand for."""
        if self.vectors is not None:
            return "npy"
        return "column" if self.vector_column is not None else self.embedder.partition(":")[0]

    @property
    def argument(self) -> str:
        """The spec's second part; empty where it has none."""
        if self.vectors is not None:
            return str(self.vectors)
        return self.vector_column or self.embedder.partition(":")[2]


class VectorsConfig(StageConfig):
    """What stages that compare vectors are told of them."""

    embedder: str = "lexical"
    """What makes the vectors, as of `lmmixup embed`: `lexical`, `wordllama`, `static:FOLDER`,
    `st:MODEL`, `openai:MODEL`, `npy:FILE` or `column:NAME`."""

    vectors: Path | None = None
    """Vectors that exist already: a `.npy`, Parquet or Arrow file, or the folder of
    `lmmixup embed`."""

    vector_column: str | None = None
    """Column with the vectors, in the pool or in the file of `vectors`."""

    @model_validator(mode="after")
    def _check_vectors(self) -> Self:
        self.embed_config()  # raises where the three do not fit together
        return self

    def embed_config(self) -> EmbedConfig:
        """How the records become vectors."""
        return EmbedConfig(
            embedder=self.embedder, vectors=self.vectors, vector_column=self.vector_column
        )


class NeighboursConfig(VectorsConfig):
    """What stages that look at neighbours are told of their vectors."""

    search: Literal["auto", "exact", "blocks", "usearch"] = "auto"
    """How neighbours are found: `exact`, or approximately by coarse cells (`blocks`) or a graph
    (`usearch`); `auto` takes `blocks` for large pools and the manifest says so."""
