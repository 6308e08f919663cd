"""What the stage `mixture` can be told."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from lmmixup.contract import TASK_TYPES
from lmmixup.embed import EmbedConfig
from lmmixup.llm import CallConfig

RULES = "rules"
OPENAI = "openai:"


class MixtureConfig(CallConfig):
    """Who writes the records, of which task types, how they are degraded, fused and split."""

    teacher: str = RULES
    """Who writes: `rules` shapes the texts' own sentences and needs no model; `openai:MODEL` asks
    MODEL on the OpenAI-compatible server of base_url."""

    task_types: tuple[str, ...] = TASK_TYPES
    """Task types to make: `qa`, `tfq`, `mcq`, `cs`, `para`."""

    title_column: str = "title"
    """Column with the title of a text, where it has one; texts of one title are one article."""

    min_characters: int = Field(default=120, ge=1)
    """Shortest passage; a shorter text is dropped."""

    max_characters: int = Field(default=1500, ge=100)
    """Longest passage; a longer text becomes several, at its empty lines and ends of sentences."""

    min_variants: int = Field(default=2, ge=2, le=20)
    """Fewest records of low quality to one of high quality."""

    max_variants: int = Field(default=20, ge=2, le=20)
    """Most."""

    mean_variants: float = Field(default=4.0, ge=2, le=20)
    """On average, before what does not fit max_prompt_tokens is left out."""

    cot: bool = True
    """Write the reasoning that belongs into `<think>`."""

    noise: float = Field(default=0.35, ge=0, le=1)
    """Share of the records of low quality that get typing errors; each edit is in
    `edits.parquet`."""

    fuse: float = Field(default=0.2, ge=0, le=1)
    """Share of the samples that are fused with a similar one of another article."""

    fuse_min_similarity: float = Field(default=0.45, ge=-1, le=1)
    """Least cosine of two samples that are fused."""

    fuse_max_similarity: float = Field(default=0.95, ge=-1, le=1)
    """Greatest; above it they say the same."""

    embedder: str = "lexical"
    """What makes the vectors of passages and samples, as of `lmmixup embed`."""

    family_threshold: float = Field(default=0.5, gt=0, le=1)
    """Jaccard similarity of words from which two passages are one article whatever their titles."""

    test: float = Field(default=0.1, ge=0, lt=1)
    """Share of the passages that are for testing, by whole articles."""

    cold_start: float = Field(default=0.3, ge=0, le=1)
    """Share of the others that is the cold start (SFT); the rest is for GRPO."""

    validation: float = Field(default=0.1, ge=0, le=1)
    """Share of what is for GRPO that is for validation."""

    max_prompt_tokens: int = Field(default=2400, ge=1)
    """Tokens of a prompt, contract included, 4 UTF-8 bytes each; further variants are left out."""

    library: bool = True
    """Build a library of each task type from the training articles."""

    library_records: int = Field(default=10000, ge=100)
    """Most records of a library, drawn evenly over the ratings."""

    library_embedder: str = "lexical"
    """Embedder of the libraries."""

    library_dim: int | None = Field(default=None, ge=8, le=8192)
    """Dimensions of their vectors; without it 1024 for `lexical`, the model's own for others."""

    name: str = "mixture"
    """Name of the data set, for its card."""

    license: str = "unknown"
    """License of the texts as Hugging Face names it, such as `cc-by-sa-4.0`, for the card."""

    language: str = "en"
    """Language of the texts, for the card; the rules are for English."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the split and of all that is drawn."""

    max_output_tokens: int = Field(default=2400, ge=1, le=1_000_000)
    """Tokens of one answer of a model, reasoning included."""

    retries: int = Field(default=2, ge=0, le=20)
    """Further answers to ask a model for where one cannot be used."""

    judge: str | None = None
    """Model on the same server that rates what the teacher wrote; the teacher itself without it."""

    min_rating: int = Field(default=4, ge=0, le=5)
    """Rating of 0 to 5 from which what a model wrote is kept."""

    keep_going: bool = Field(default=False, exclude=True)
    """Go on where the first 50 passages give no record."""

    limit: int | None = Field(default=None, ge=1)
    """Take the first passages only, so many; the others are dropped."""

    @property
    def model(self) -> str | None:
        """Name of the teacher's model; `None` where rules write."""
        return self.teacher.removeprefix(OPENAI) if self.teacher.startswith(OPENAI) else None

    def embed_config(self) -> EmbedConfig:
        """How passages and samples become vectors."""
        return EmbedConfig(embedder=self.embedder)

    @model_validator(mode="after")
    def _check_teacher(self) -> Self:
        if self.teacher != RULES and not self.model:
            raise ValueError(
                f"teacher must be {RULES} or {OPENAI}MODEL, got {self.teacher!r}; hint: "
                f"{OPENAI}gpt-4o-mini"
            )
        if self.model is None and (self.base_url is not None or self.judge is not None):
            raise ValueError(f"base_url and judge have no effect with teacher {RULES}")
        if self.batch:
            raise ValueError(
                "batch has no effect here: each step needs the answer of the one before"
            )
        return self

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        unknown = [one for one in self.task_types if one not in TASK_TYPES]
        if unknown or len(set(self.task_types)) != len(self.task_types) or not self.task_types:
            raise ValueError(
                f"task_types must be different ones of {', '.join(TASK_TYPES)}, got "
                f"{', '.join(self.task_types) or 'none'}"
            )
        if not self.min_variants <= self.mean_variants <= self.max_variants:
            raise ValueError(
                f"mean_variants must be within min_variants and max_variants, got "
                f"{self.mean_variants:g} with {self.min_variants}..{self.max_variants}"
            )
        if self.fuse_min_similarity > self.fuse_max_similarity:
            raise ValueError("fuse_min_similarity must be at most fuse_max_similarity")
        if self.min_characters > self.max_characters:
            raise ValueError("min_characters must be at most max_characters")
        return self
