"""`lmmixup explain ID DIR...`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lmmixup.cli.options import command_with
from lmmixup.explain import explain

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_CHARACTERS = 300


def _run(record_id: str, folders: Sequence[str], json_output: bool) -> None:
    chapters = explain(record_id, folders)
    if json_output:
        click.echo(json.dumps([vars(chapter) for chapter in chapters], default=str))
        return
    told: dict[str, Any] = {}
    for chapter in chapters:
        click.echo(f"{chapter.stage} ({chapter.path}): {chapter.outcome}")
        for name, value in chapter.facts.items():
            if name not in told or told[name] != value:  # what a stage only hands on is known
                click.echo(f"    {name}: {_short(value)}")
        told |= chapter.facts
        for relation, ids in chapter.links.items():
            more = chapter.num_links[relation] - len(ids)
            rest = f" and {more:,} more" if more else ""
            click.echo(f"    {relation}: {', '.join(ids)}{rest}")


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


command = command_with(
    "explain",
    _run,
    [
        click.Argument(["record_id"], metavar="ID"),
        click.Argument(["folders"], nargs=-1, required=True, metavar="DIR..."),
        click.Option(["--json", "json_output"], is_flag=True, help="Print JSON."),
    ],
    examples=[
        "lmmixup explain alpaca/17 clusters/",
        "lmmixup explain alpaca/17 deduped/ clusters/ --json",
    ],
    help="Say what became of the record ID in the result folders DIR and in those they came from.",
)
