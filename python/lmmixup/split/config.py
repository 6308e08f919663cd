"""What the stage `split` can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lmmixup.stage import StageConfig


class SplitConfig(StageConfig):
    """Where a rated pool is cut."""

    at: float = Field(default=4.0, allow_inf_nan=False)
    """Least rating of a record of high quality."""

    rating: str = "rating"
    """Column with the ratings; null is unrated."""

    unrated: Literal["apart", "high", "low"] = "apart"
    """Where records without a rating go: a pool of their own, or one of the two others."""
