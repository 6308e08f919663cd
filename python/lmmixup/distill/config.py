"""What the stage `distill` can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from lmmixup.llm import CallConfig

EXTRACTIVE = "extractive"
OPENAI = "openai:"
MERGEIT = "mergeit:"
LOCAL = "local:"

MERGEIT_RETRIES = 3
RETRIES = 2


class DistillConfig(CallConfig):
    """Which mixer writes, how long a prompt and a record may be, and how a model is asked."""

    mixer: str = EXTRACTIVE
    """Who writes: `extractive` takes the best content of a cluster as it stands and needs no
    model; `local:PATH` is a trained mixer in a folder; `openai:MODEL` asks MODEL on the
    OpenAI-compatible server of base_url; `mergeit:MODEL` has it merge near records as MergeIT does,
    and keeps only what rates above them."""

    library: Path | None = None
    """Library of `lmmixup library build` that rates for the mixer mergeit, and whose embedder says
    which records are near."""

    min_similarity: float = Field(default=0.8, ge=-1, le=1)
    """Cosine above which the mixer mergeit puts two records into one group."""

    tokenizer: Path | None = None
    """Folder with the tokenizer of the server's model: max_prompt_tokens counts exactly then, in
    place of 4 UTF-8 bytes a token. The mixer local has its own."""

    engine: Literal["auto", "transformers", "vllm"] = "auto"
    """What runs the mixer local; `auto` is vllm where it is installed and has a GPU."""

    batch_size: int = Field(default=8, ge=1, le=4096)
    """Clusters that the mixer local writes about at a time."""

    max_output_tokens: int = Field(default=2400, ge=1, le=1_000_000)
    """Tokens of what is written: of a server's whole answer, reasoning included; of an extractive
    completion, 4 UTF-8 bytes each."""

    max_prompt_tokens: int = Field(default=2400, ge=1)
    """Tokens of what a mixer is given for one record, contract included: as its tokenizer counts
    them, or 4 UTF-8 bytes each."""

    too_long: Literal["split", "refuse"] = "split"
    """Of a cluster above max_prompt_tokens: `split` makes several records of it, each from as
    many of its records as fit; `refuse` leaves it over. Nothing is cut."""

    limit: int | None = Field(default=None, ge=1)
    """Distil the first clusters only, so many; the records of the others are leftover."""

    retries: int | None = Field(default=None, ge=0, le=20)
    """Further answers to ask for where one breaks the contract, or does not rate above its group;
    2, and 3 for mergeit. Give a temperature above 0, or a seed, which moves with each."""

    keep_going: bool = Field(default=False, exclude=True)
    """Go on where the first 50 clusters give no record."""

    @property
    def model(self) -> str | None:
        """Name of the model on the server; `None` where no server is asked."""
        kind, name = self._named()
        return name if kind in (OPENAI, MERGEIT) else None

    @property
    def path(self) -> Path | None:
        """Folder of the mixer local; `None` for the others."""
        kind, name = self._named()
        return Path(name) if kind == LOCAL else None

    @property
    def is_mergeit(self) -> bool:
        """Whether records are merged as MergeIT does."""
        return self._named()[0] == MERGEIT

    @property
    def num_attempts(self) -> int:
        """Answers that are asked for about one record, at most."""
        if self.path is not None and self.temperature == 0:
            return 1  # it would say the same again
        usual = MERGEIT_RETRIES if self.is_mergeit else RETRIES
        return 1 + (usual if self.retries is None else self.retries)

    def _named(self) -> tuple[str, str]:
        for kind in (OPENAI, MERGEIT, LOCAL):
            if self.mixer.startswith(kind):
                return kind, self.mixer.removeprefix(kind)
        return self.mixer, ""

    @model_validator(mode="after")
    def _check_mixer(self) -> Self:
        if self.mixer != EXTRACTIVE and not (self.model or self._named()[1]):
            raise ValueError(
                f"mixer must be {EXTRACTIVE}, {LOCAL}PATH, {OPENAI}MODEL or {MERGEIT}MODEL, got "
                f"{self.mixer!r}; hint: {OPENAI}gpt-4o-mini"
            )
        for name in ("base_url", "tokenizer"):
            if getattr(self, name) is not None and self.model is None:
                raise ValueError(f"{name} has no effect with mixer {self.mixer}; use {OPENAI}MODEL")
        if self.batch and self.model is None:
            raise ValueError(f"batch asks a server; use {OPENAI}MODEL or {MERGEIT}MODEL")
        if self.is_mergeit != (self.library is not None):
            raise ValueError(
                f"the mixer {MERGEIT}MODEL needs a library that rates, and no other mixer takes "
                "one; hint: --library with a folder of lmmixup library build"
            )
        return self
