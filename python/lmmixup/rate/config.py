"""Which judges rate a pool and by what rubric, or which library does."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotations
from typing import Self

from pydantic import Field, model_validator

from lmmixup.llm import LLMConfig
from lmmixup.rate.judges import column_names, read_judge
from lmmixup.stage import StageConfig


class KnnBayesConfig(StageConfig):
    """Which library rates, and where the ratings go."""

    knn_bayes: Path
    """A library, or a folder with one for each task type."""

    vectors: Path | None = None
    """Vectors that exist already, made by the library's embedder."""

    leave_one_out: bool = True
    """Rate a record that is in the library by the others."""

    list_neighbours: int | None = None
    """Neighbours that are written beside each record."""

    prefix: str = ""
    """Goes before the names of the columns."""


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

    knn_bayes: Path | None = Field(default=None, exclude=True)
    """Rate by a library in place of judges: one of `lmmixup library build`, or a folder with one
    for each task type (`qa/`, …) and perhaps one named `default`."""

    vectors: Path | None = Field(default=None, exclude=True)
    """With knn_bayes, vectors that exist already: the folder of `lmmixup embed`, made by the
    library's embedder."""

    leave_one_out: bool = Field(default=True, exclude=True)
    """With knn_bayes, rate a record whose prompt and completion are in the library by the other
    records, as `library report` does; without, its own rating is among its neighbours'."""

    list_neighbours: int | None = Field(default=None, ge=0, exclude=True)
    """With knn_bayes, write only that many of the neighbours beside each record, the nearest
    ones; the default is all, three quarters of what the ratings take on disk."""

    prefix: str = Field(default="", exclude=True)
    """With knn_bayes, goes before the names of its columns, so that ratings which the pool has
    already stay beside them."""

    keep_going: bool = Field(default=False, exclude=True)
    """Write the result even where no record gets a rating."""

    @model_validator(mode="after")
    def _check_judges(self) -> Self:
        if self.knn_bayes is not None:
            if self.model:
                raise ValueError("model and knn_bayes exclude each other; run one after the other")
            return self
        for name in ("vectors", "leave_one_out", "list_neighbours", "prefix"):
            if name in self.model_fields_set:
                raise ValueError(f"{name} has no effect without knn_bayes")
        if not self.model:
            raise ValueError("name at least one judge with model, or a library with knn_bayes")
        judges = [read_judge(spec) for spec in self.model]
        column_names(judges)
        if any(judge.base_url for judge in judges) and self.batch:
            raise ValueError("batch asks one server: name it with base_url, not in model")
        return self

    def by_library(self) -> KnnBayesConfig | None:
        """What the library needs to know; `None` where judges rate."""
        if self.knn_bayes is None:
            return None
        return KnnBayesConfig(
            knn_bayes=self.knn_bayes,
            vectors=self.vectors,
            leave_one_out=self.leave_one_out,
            list_neighbours=self.list_neighbours,
            prefix=self.prefix,
        )
