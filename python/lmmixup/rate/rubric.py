"""Rubrics: Markdown files that say what a judge looks at."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from lmmixup.errors import DataError, FileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GENERAL = "general"
"""Rubric of records without a task type."""

NAMES = (GENERAL, "qa", "tfq", "mcq", "cs", "para")
"""The built-in rubrics: the general one and one a task type."""

SCORES = ("rarity", "complexity", "informativeness", "overall")
"""What a judge scores; the rating comes from the last."""

_HEADING = re.compile(r"^##[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Rubric:
    """One rubric.

    Attributes:
        text: Its Markdown.
        sha256: Digest of the text, 64 hex digits.
    """

    text: str

    @property
    def sha256(self) -> str:
        """Digest of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_rubrics(path: Path | None) -> dict[str, Rubric]:
    """The rubrics by task type.

    Args:
        path: The user's file or folder, or `None` for the built-in ones.

    Returns:
        One rubric for each of `NAMES`.

    Raises:
        FileError: The file cannot be read, or the folder has none of the names.
        DataError: A rubric lacks the heading of a score.

    Source:
        The four respects are the paper's (METHOD §4), the words are ours.
    """
    built_in = {name: _built_in(name) for name in NAMES}
    if path is None:
        return built_in
    if not path.is_dir():
        return dict.fromkeys(NAMES, _read(path))
    own = {name: _read(path / f"{name}.md") for name in NAMES if (path / f"{name}.md").exists()}
    if not own:
        expected = ", ".join(f"{name}.md" for name in NAMES)
        raise FileError(f"{path}: expected at least one of {expected} in the folder, got none")
    return {**built_in, **own}


def rubric_for(rubrics: Mapping[str, Rubric], task_type: str | None) -> Rubric:
    """The rubric of a record; the general one where its task type has none."""
    return rubrics.get(task_type or GENERAL) or rubrics[GENERAL]


def _built_in(name: str) -> Rubric:
    text = (files("lmmixup.rate") / "rubrics" / f"{name}.md").read_text(encoding="utf-8")
    return Rubric(text)


def _read(path: Path) -> Rubric:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}; expected a rubric") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected a rubric in UTF-8, got other bytes") from None
    headings = {heading.lower() for heading in _HEADING.findall(text)}
    missing = [score for score in SCORES if score not in headings]
    if missing:
        raise DataError(
            f"{path}: expected a heading for each of {', '.join(SCORES)}, got none for "
            f"{', '.join(missing)}; write `## {missing[0].capitalize()}`"
        )
    return Rubric(text)
