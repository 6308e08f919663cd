"""Which judges rate a pool, and by what rubric."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotations
from typing import Self

from pydantic import Field, model_validator

from lmmixup.llm import LLMConfig
from lmmixup.rate.judges import column_names, read_judge


class RateConfig(LLMConfig):
    """How records are rated."""

    model: tuple[str, ...] = ()
    """Judges: the name of a model on the server; for one on another server `NAME@URL`, with the
    environment variable of its key `NAME@URL#VARIABLE`. Several judges each rate every record."""

    judge_repeat: int = Field(default=1, ge=1, le=100)
    """Times that each judge is asked about a record; give a temperature above 0."""

    rubric: Path | None = None
    """Own rubric: a Markdown file for all records, or a folder with `qa.md`, `tfq.md`, `mcq.md`,
    `cs.md`, `para.md` and `general.md`, where those that are missing are the built-in ones."""

    keep_going: bool = Field(default=False, exclude=True)
    """Write the result even where no record gets a rating."""

    @model_validator(mode="after")
    def _check_judges(self) -> Self:
        if not self.model:
            raise ValueError("name at least one judge with model")
        judges = [read_judge(spec) for spec in self.model]
        column_names(judges)
        if any(judge.base_url for judge in judges) and self.batch:
            raise ValueError("batch asks one server: name it with base_url, not in model")
        return self
