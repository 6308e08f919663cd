"""What the rewards rest on."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotation
from typing import Literal

from pydantic import Field

from lmmixup.stage import StageConfig


class RewardConfig(StageConfig):
    """How outputs are rewarded."""

    library: Path | None = None
    """Library of `lmmixup library build --text completion`, or a folder with one for each task
    type (`qa/`, …) and perhaps one named `default`."""

    mapping: Literal["p_ge_4", "expectation", "map", "paper"] = "p_ge_4"
    """From the posterior to the quality reward. `p_ge_4`: P(rating >= 4). `expectation`:
    (E - 2) / 2 within 0 and 1. `map`: 1, 0.3 or 0 where the most probable rating is at least 4,
    3, or less. `paper`: 1, 0.3 or 0 where E is at least 4, at least 2.5, or less, so that an
    output with E = 3.98 earns 0.3."""

    alignment_threshold: float | None = Field(default=None, ge=-1, le=1)
    """Least cosine of output and reference that counts as aligned. Without it that of the
    library's embedder: 0.8 for bge-m3 (the paper's), 0.84 for `lexical`, 0.88 for `wordllama`; for
    others `lmmixup rewards calibrate` finds one."""

    require_form: bool = False
    """An output earns 0 unless it has the whole form of its task. By the paper's weights alone the
    form is worth 0.05 to 0.1, and a model may pay that for quality: it leaves out the answer
    of a true-or-false question."""

    reference_column: str = "reference"
    """Column with the reference outputs."""

    max_reward_errors: int = Field(default=0, ge=0)
    """Outputs that may stay unscored for an error over the whole training; one more ends it."""
