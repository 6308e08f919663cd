"""`lmmixup library build POOL... -o LIB` and `lmmixup library report LIB`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmmixup.cli.options import command_with
from lmmixup.cli.stage import JSON, NUM_THREADS, QUIET, make_reporter, stage_command
from lmmixup.cli.table import show_rows, show_table
from lmmixup.library import LibraryConfig, open_library, report, run

if TYPE_CHECKING:
    from lmmixup.library import Report

build_command = stage_command(
    "build",
    run,
    LibraryConfig,
    help="Make a library of the rated records of POOL, by which others can be rated without a "
    "judge.",
    examples=[
        "lmmixup library build rated/ -o lib/ --rating rating",
        "lmmixup library build rated.parquet -o lib/ --rating gpt_4o_mini --embedder wordllama",
        "lmmixup library build rated/ -o lib/qa --task-type qa --text completion",
        "lmmixup library build rated/ -o lib/ --scorer paper",
    ],
    files={
        "data.parquet": "the rated records",
        "vectors.npy": "their vectors, row by row",
        "dropped.parquet": "records that were left out, and why",
    },
)


def _report(
    library: Path, output: Path | None, num_threads: int, quiet: bool, as_json: bool
) -> None:
    folder = library / "report" if output is None else output
    with make_reporter(quiet=quiet or as_json) as reporter:
        result = report(
            open_library(library), folder=folder, num_threads=num_threads, reporter=reporter
        )
    if as_json:
        click.echo(json.dumps(result.to_dict()))
    elif not quiet:
        _show(result, folder)


def _show(result: Report, folder: Path) -> None:
    show_rows(
        [
            ("records, each rated by the others", f"{result.num_records:,}"),
            ("accuracy", f"{result.accuracy:.3f}"),
            ("quadratic weighted kappa", f"{result.qwk:.3f}"),
            ("Spearman, expected rating", f"{result.spearman:.3f}"),
            ("calibration error of P(rating >= 4)", f"{result.ece:.3f}"),
        ]
    )
    rows = []
    for row in result.classes:
        shares = (row.precision, row.recall, row.mean_expected)
        shown = ["-" if math.isnan(share) else f"{share:.3f}" for share in shares]
        rows.append((str(row.rating), f"{row.num_records:,}", f"{row.num_rated:,}", *shown))
    click.echo()
    show_table(("rating", "records", "rated so", "precision", "recall", "mean expected"), rows)
    click.echo()
    for name in ("report.json", "reliability.png", "confusion.png"):
        click.echo(folder / name)


report_command = command_with(
    "report",
    _report,
    [
        click.Argument(["library"], metavar="LIB", type=click.Path(path_type=Path)),
        click.Option(
            ["-o", "--output"],
            type=click.Path(path_type=Path),
            help="Folder for figures and charts [default: LIB/report].",
        ),
        NUM_THREADS,
        QUIET,
        JSON,
    ],
    examples=["lmmixup library report lib/", "lmmixup library report lib/ -o figures/ --json"],
    help="Rate each record of the library LIB by the others, and say how well that agrees with "
    "its rating.",
)

command = click.Group(
    "library",
    commands=[build_command, report_command],
    help="Make and judge libraries of rated records.",
)
