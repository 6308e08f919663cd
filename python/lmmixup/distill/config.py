"""What the stage `distill` can be told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from lmmixup.llm import CallConfig

EXTRACTIVE = "extractive"
OPENAI = "openai:"


class DistillConfig(CallConfig):
    """Which mixer writes, how long a prompt and a record may be, and how a server is asked."""

    mixer: str = EXTRACTIVE
    """Who writes: `extractive` takes the best content of a cluster as it stands and needs no
    model; `openai:MODEL` asks MODEL on the OpenAI-compatible server of base_url."""

    max_tokens: int = Field(default=2400, ge=1, le=1_000_000)
    """Tokens of what is written: of a server's whole answer, reasoning included; of an extractive
    completion, 4 UTF-8 bytes each."""

    max_prompt_tokens: int = Field(default=2400, ge=1)
    """Tokens of what a mixer is given for one record, contract included, 4 UTF-8 bytes each."""

    too_long: Literal["split", "refuse"] = "split"
    """Of a cluster above max_prompt_tokens: `split` makes several records of it, each from as
    many of its records as fit; `refuse` leaves it over. Nothing is cut."""

    limit: int | None = Field(default=None, ge=1)
    """Distil the first clusters only, so many; the records of the others are leftover."""

    retries: int = Field(default=2, ge=0, le=20)
    """Further answers to ask for where one breaks the contract; give a temperature above 0, or a
    seed, which moves with each."""

    keep_going: bool = Field(default=False, exclude=True)
    """Go on where the first 50 clusters give no record."""

    @property
    def model(self) -> str | None:
        """Name of the model on the server; `None` where no server is asked."""
        return self.mixer.removeprefix(OPENAI) if self.mixer.startswith(OPENAI) else None

    @model_validator(mode="after")
    def _check_mixer(self) -> Self:
        if self.mixer != EXTRACTIVE and not self.model:
            raise ValueError(
                f"mixer must be {EXTRACTIVE} or {OPENAI}MODEL, got {self.mixer!r}; hint: "
                f"{OPENAI}gpt-4o-mini"
            )
        if self.base_url is not None and self.model is None:
            raise ValueError(f"base_url has no effect with mixer {EXTRACTIVE}; use {OPENAI}MODEL")
        return self
