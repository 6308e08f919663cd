"""How the files of a pool are to be read."""

from __future__ import annotations

import warnings
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SchemaName = Literal["alpaca", "sharegpt", "messages", "prompt_completion", "mixture"]

with warnings.catch_warnings():
    # The word is `schema` everywhere else; the method of pydantic that it hides is deprecated.
    warnings.simplefilter("ignore", UserWarning)

    class PoolOptions(BaseModel):
        """How the files of a pool are to be read; all stages that read one take these."""

        model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

        schema: SchemaName | None = None  # type: ignore[assignment]
        """Schema of the records; detected from the columns where none is named."""
        columns: dict[str, str] = Field(default_factory=dict)
        """Columns of another schema, as `prompt=question,completion=answer`; a prompt may join
        several (`prompt=task+text`). Also `messages`, `system`, `id`, `source`, `task_type`."""
        ids: Literal["auto", "column", "content"] = "auto"
        """Where ids come from: each record's own `id` where it has one (`auto`), always its own
        (`column`), or always a hash of what it says (`content`)."""
        source: str | None = None
        """Source of all records; else their `source` column, else the name of the file."""
        sample: int | None = Field(default=None, ge=1)
        """Take only this many records, drawn by their ids and the sample seed."""
        sample_seed: int = Field(default=0, ge=0, lt=2**64)
        """Seed of the sample."""
        strict: bool = False
        """Stop at the first record that cannot be used instead of setting it aside."""
        max_line_mb: float = Field(default=64.0, gt=0, le=1024)
        """Longest record in MiB; longer ones are rejected without being held in memory."""
