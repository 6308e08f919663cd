"""Rows of text in columns, a line each however long it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAP = "  "


def show_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Prints labels and values in two columns."""
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        click.echo(f"{label:<{width}}{GAP}{value}".rstrip())


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table: the first column begins on the left, the others end on the right.

    Args:
        headings: One a column.
        rows: As many cells each; wide characters count as two.
    """
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415

    lines = [headings, *rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for first, *others in lines:
        cells = [set_cell_size(first, widths[0])]
        cells += [
            " " * (width - cell_len(cell)) + cell
            for width, cell in zip(widths[1:], others, strict=True)
        ]
        click.echo(GAP.join(cells).rstrip())
