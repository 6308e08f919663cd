"""`lmmixup explain ID DIR...`."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from lmmixup.cli.options import command_with
from lmmixup.cli.stage import JSON
from lmmixup.explain import explain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lmmixup.explain import Chapter

MAX_CHARACTERS = 300
MAX_FOLLOWED = 3
"""Made records whose further way is told too."""


def _run(record_id: str, folders: Sequence[str], as_json: bool) -> None:
    chapters = explain(record_id, folders)
    if as_json:
        click.echo(json.dumps([vars(chapter) for chapter in chapters], default=str))
        return
    _tell(chapters)
    made_ids = list(_made_of_it(chapters))
    for made_id in made_ids[:MAX_FOLLOWED]:
        way = explain(made_id, folders)
        made = next((place for place, part in enumerate(way) if part.outcome == "made"), 0)
        click.echo(f"\n{made_id}")
        _tell(way[made:])
    if len(made_ids) > MAX_FOLLOWED:
        more = len(made_ids) - MAX_FOLLOWED
        click.echo(f"\nmade of it besides: {more:,}; explain each by its ID")


def _made_of_it(chapters: Sequence[Chapter]) -> Iterator[str]:
    for chapter in chapters:
        yield from chapter.links.get("went into", ())


def _tell(chapters: Sequence[Chapter]) -> None:
    """Prints the chapters; a fact that an earlier one told already is not told again."""
    told: dict[str, Any] = {}
    for is_absent, parts in groupby(chapters, lambda chapter: chapter.outcome == "absent"):
        if is_absent:
            where = ", ".join(f"{part.stage} ({part.path})" for part in parts)
            click.echo(f"{where}: absent")
            continue
        for part in parts:
            click.echo(f"{part.stage} ({part.path}): {part.outcome}")
            _tell_facts(part.facts, told)
            _tell_links(part)


def _tell_facts(facts: Mapping[str, Any], told: dict[str, Any]) -> None:
    for name, value in facts.items():
        is_new = told.get(name) != value and value not in ("", [])
        if is_new and not _is_said(name, value, facts):
            click.echo(f"    {name}: {_short(value)}")
    told.update(facts)


def _is_said(name: str, value: Any, facts: Mapping[str, Any]) -> bool:
    """Whether `prompt` and `completion` say it: the messages, and the columns they were made of."""
    if name in ("prompt", "completion"):
        return False
    texts = [facts.get("prompt"), facts.get("completion")]
    return value in texts or (name == "messages" and "prompt" in facts)


def _tell_links(chapter: Chapter) -> None:
    for relation, ids in chapter.links.items():
        more = chapter.num_links[relation] - len(ids)
        rest = f" and {more:,} more" if more else ""
        click.echo(f"    {relation}: {', '.join(ids)}{rest}")


def _short(value: Any) -> str:
    text = " ".join(_plain(value).split())
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_plain(part)}" for name, part in value.items()) + ")"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)


command = command_with(
    "explain",
    _run,
    [
        click.Argument(["record_id"], metavar="ID"),
        click.Argument(["folders"], nargs=-1, required=True, metavar="DIR..."),
        JSON,
    ],
    examples=[
        "lmmixup explain alpaca/17 clusters/",
        "lmmixup explain alpaca/17 deduped/ clusters/ --json",
    ],
    help="Say what became of the record ID in the result folders DIR and in those they came from, "
    "and of the records that were made of it.",
)
