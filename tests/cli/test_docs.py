"""Every command that the docs and the help name exists, with the options that they give it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from lmmixup.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *(ROOT / folder / "README.md" for folder in ("benches", "examples", "kernels")),
    ROOT / "examples" / "learns" / "run.sh",
]


def commands(page: Path) -> Iterator[str]:
    """Lines of code that begin with `lmmixup`, and commands within sentences."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```.*?^```", text, re.M | re.S) if page.suffix == ".md" else [text]
    for block in blocks:
        yield from re.findall(r"^\s*lmmixup (.+)$", block, re.M)
    yield from re.findall(r"`lmmixup ([^`]+)`", text)


def examples(command: click.Command) -> Iterator[str]:
    """What the help of a command, and of those in it, gives as examples."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from examples(found)
    elif command.epilog:
        yield from re.findall(r"lmmixup (.+)", command.epilog)


def check(line: str) -> None:
    """Fails where a word names no command, or no option of it."""
    line = line.replace(" $ARGS", "")
    words = shlex.split(line.partition(" | ")[0].partition(" > ")[0], comments=True)
    command, path = cli, "lmmixup"
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, context = words.pop(0).rstrip(",;:"), click.Context(command)
        assert name in command.list_commands(context), f"{path} has no command {name}: {line}"
        found = command.get_command(context, name)
        assert found is not None
        command, path = found, f"{path} {name}"
    known = {name for param in command.params for name in [*param.opts, *param.secondary_opts]}
    known |= {"--help", "--version", "-h"}
    for word in words:
        option = word.partition("=")[0].rstrip(",;:.")
        assert not option.startswith("-") or option == "-" or option in known, (
            f"{path} has no option {option}: {line}"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_docs_name_what_there_is(page: Path) -> None:
    for line in commands(page):
        check(line)


def test_the_help_names_what_there_is() -> None:
    lines = list(examples(cli))
    assert len(lines) > 40
    for line in lines:
        check(line)


@pytest.mark.parametrize("line", ["dedup pool.jsonl --treshold 0.7", "pool look pool.jsonl"])
def test_what_there_is_not_is_found(line: str) -> None:
    with pytest.raises(AssertionError, match="has no"):
        check(line)
