"""What the stage `tokenize` can be told."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - pydantic needs it at run time
from typing import Literal, Self

from pydantic import Field, model_validator

from lmmixup.stage import StageConfig

PACK_WINDOW = 16_384
"""Records that are packed together: rows are as full as with all records to .06 %."""


class TokenizeConfig(StageConfig):
    """How chats become rows of token ids."""

    tokenizer: Path | None = None
    """A `tokenizer.json`, or a folder with one (a model's folder)."""

    template: Path | None = None
    """Chat template (Jinja); without it the one of the tokenizer's folder: `chat_template.jinja`,
    or `chat_template` in `tokenizer_config.json`."""

    template_path: Literal["auto", "render"] = "auto"
    """`auto`: take the template apart once for each sequence of roles and fill in the contents,
    proved against the full render. `render`: render each record."""

    max_row_tokens: int = Field(default=2048, ge=1, lt=2**31)
    """Most tokens of a record, and of a row."""

    too_long: Literal["truncate", "drop"] = "truncate"
    """A record with more tokens is cut at its end, or dropped. Either is counted."""

    special_in_text: Literal["text", "control", "reject"] = "text"
    """Contents that hold the text of a special token: `text` encodes it as text, `control` as the
    token (as transformers does), `reject` drops the record. Counted."""

    packing: Literal["best-fit", "wrapped", "none"] = "best-fit"
    """`best-fit`: whole records, best-fit decreasing. `wrapped`: one after another, cut where a
    row is full. `none`: one record a row."""

    pack_window: int = Field(default=PACK_WINDOW, ge=0)
    """Records that are packed together, fewer where they have 2^25 tokens; 0 packs all at once,
    with their tokens on disk."""

    position_ids: bool = False
    """Write `position_ids` too; TRL makes them from `seq_lengths`."""

    shard_mb: int = Field(default=256, ge=1)
    """Size of a shard, in MiB."""

    stats: bool = False
    """Only count: a histogram of lengths, what would be cut, padding against packing; no shards."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.tokenizer is None:
            raise ValueError("a tokenizer is needed; pass --tokenizer DIR or tokenizer.json")
        if "pack_window" in self.model_fields_set and self.packing != "best-fit":
            raise ValueError(f"pack_window has no effect with packing {self.packing}")
        return self
