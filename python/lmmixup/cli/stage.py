"""A stage as a command: the same arguments, the same last lines, the same exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmmixup.cli import EXIT_FAILED, EXIT_REJECTS
from lmmixup.cli.options import RUN, Option, build, command_with, options_for, options_of
from lmmixup.cli.table import show_rows
from lmmixup.interrupts import Held
from lmmixup.pool import PoolOptions, open_pool
from lmmixup.progress import SILENT, Bars, Reporter
from lmmixup.stage import InterruptedWhenDoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lmmixup.pool import Pool, RejectLog
    from lmmixup.stage import StageConfig, StageResult

MAX_REJECTS_SHOWN = 10
MAX_COUNTS_SHOWN = 12

SOURCES = click.Argument(["sources"], nargs=-1, required=True, metavar="POOL...")
FORMS = (
    "POOL is any number of files, globs and folders: JSONL, JSON, CSV (each also .gz and .zst), "
    "Parquet, Arrow, datasets saved by Hugging Face, results of lmmixup, or - for standard input."
)
OUTPUT = click.Option(
    ["-o", "--output"], required=True, type=click.Path(path_type=Path), help="Folder to make."
)
QUIET = Option(["-q", "--quiet"], section=RUN, is_flag=True, help="No progress, no summary.")
JSON = Option(
    ["--json", "as_json"],
    section=RUN,
    is_flag=True,
    help="Print the result as JSON, a stage's manifest, and nothing else.",
)
NUM_THREADS = Option(
    ["--num-threads"],
    section=RUN,
    type=click.IntRange(min=0),
    default=0,
    help="Threads; 0 takes all cores.",
)
OVERWRITE = Option(
    ["--overwrite"], section=RUN, is_flag=True, help="Replace an output that exists."
)
REJECTS_OK = Option(
    ["--rejects-ok"],
    section=RUN,
    is_flag=True,
    help="Exit with 0 even where records were rejected.",
)


def stage_command(
    name: str,
    run: Callable[..., StageResult],
    config: type[StageConfig],
    *,
    help: str,  # noqa: A002
    examples: Iterable[str],
    files: Mapping[str, str],
    sources: click.Argument = SOURCES,
    preview: Callable[..., list[tuple[str, str]]] | None = None,
    preview_flags: tuple[str, ...] = ("--dry-run",),
    complaint: Callable[[StageResult], str | None] = lambda _result: None,
    more_sources: click.Option | None = None,
    shortcuts: Mapping[str, tuple[str, str]] | None = None,
    open_sources: Callable[..., Pool] = open_pool,
) -> click.Command:
    """The command of a stage.

    Args:
        name: The stage's name.
        run: Its `run(pool, config, *, output, overwrite, num_threads, reporter)`.
        config: Its config class; the options come from it and from `PoolOptions`.
        help: What it does.
        examples: Command lines that work as they stand.
        files: What each output file holds, by its name, for the closing lines.
        sources: The positional argument, where the usual one does not say enough.
        preview: Its `preview(pool, config, *, num_threads, reporter)`: lines of what it would
            do; gives the command the flag.
        preview_flags: Names of the flag.
        complaint: Says what is wrong with a result that was written all the same; the command
            then prints it and exits with 1.
        more_sources: An option that names sources as well, called `more_sources`.
        shortcuts: Flags that stand for an option with a value, such as
            `{"--semantic": ("method", "semantic")}`.
        open_sources: Opens the sources, as `open_pool` does.

    Returns:
        A click command.
    """

    def callback(**given: Any) -> int:
        given_sources = [*given.pop("sources"), *given.pop("more_sources", ())]
        stage_config = build(config, given)
        with make_reporter(quiet=given["quiet"] or given["as_json"]) as reporter:
            pool = open_sources(given_sources, build(PoolOptions, given))
            if preview is not None and given["is_preview"]:
                lines = preview(
                    pool, stage_config, num_threads=given["num_threads"], reporter=reporter
                )
                show_preview(lines, as_json=given["as_json"])
                return 0
            try:
                result = run(
                    pool,
                    stage_config,
                    output=given["output"],
                    overwrite=given["overwrite"],
                    num_threads=given["num_threads"],
                    reporter=reporter,
                )
            except InterruptedWhenDoneError as late:
                result = late.result
            with Held():  # the output is there: Ctrl-C has nothing left to stop
                reporter.close()
                return tell(result, given)

    def tell(result: StageResult, given: Mapping[str, Any]) -> int:
        show_rejects(result)
        if given["as_json"]:
            click.echo(json.dumps(result.manifest))
        elif not given["quiet"]:
            show_result(result, files)
        if problem := complaint(result):
            click.echo(f"lmmixup: {problem}", err=True)
            return EXIT_FAILED
        return exit_status(result, rejects_ok=given["rejects_ok"])

    own = [*options_of(config), *options_for(shortcuts or {})]
    own_names = {option.name for option in own}
    shared = [option for option in options_of(PoolOptions) if option.name not in own_names]
    common = [OVERWRITE, REJECTS_OK, NUM_THREADS, QUIET, JSON]
    if preview is not None:
        said = "Say what it would do and cost, and stop."
        common.insert(
            0, Option([*preview_flags, "is_preview"], section=RUN, is_flag=True, help=said)
        )
    first = [sources, OUTPUT] if more_sources is None else [sources, more_sources, OUTPUT]
    return command_with(
        name,
        callback,
        [*first, *own, *shared, *common],
        examples=examples,
        help=f"{help}\n\n{FORMS}" if "POOL" in (sources.metavar or "") else help,
    )


def make_reporter(*, quiet: bool) -> Reporter:
    """Bars for people, silence for scripts."""
    return SILENT if quiet else Bars()


def exit_status(result: StageResult, *, rejects_ok: bool) -> int:
    """0, or 3 where records were rejected and nobody said that this is fine."""
    return EXIT_REJECTS if result.num_rejected and not rejects_ok else 0


def show_rejects(result: StageResult) -> None:
    """Says the first rejected records, a line each, on stderr."""
    if not result.num_rejected:
        return
    with (result.path / "rejects.jsonl").open(encoding="utf-8") as file:
        for line, _ in zip(file, range(MAX_REJECTS_SHOWN), strict=False):
            click.echo(f"rejected: {json.loads(line)['message']}", err=True)
    more = result.num_rejected - MAX_REJECTS_SHOWN
    if more > 0:
        click.echo(f"rejected: {more:,} more, see {result.path / 'rejects.jsonl'}", err=True)


def rejects_status(rejects: RejectLog, *, rejects_ok: bool) -> int:
    """The same for commands that write no result: says the first ones, and gives the status."""
    for reject, _ in zip(rejects, range(MAX_REJECTS_SHOWN), strict=False):
        click.echo(f"rejected: {reject.message}", err=True)
    if len(rejects) > MAX_REJECTS_SHOWN:
        click.echo(f"rejected: {len(rejects) - MAX_REJECTS_SHOWN:,} more", err=True)
    return EXIT_REJECTS if len(rejects) and not rejects_ok else 0


def show_preview(lines: list[tuple[str, str]], *, as_json: bool) -> None:
    """Prints the lines of a preview."""
    if as_json:
        click.echo(json.dumps(dict(lines), ensure_ascii=False))
    else:
        show_rows(lines)


def show_result(result: StageResult, files: Mapping[str, str]) -> None:
    """Prints the outcomes, the stage's figures and the files it wrote."""
    show_rows([*_outcome_rows(result.counts), *_figure_rows(result.figures)])
    click.echo()
    written = [name for name in result.manifest["outputs"] if name in files]
    rows = [(str(result.path / name), files[name]) for name in written]
    if result.num_rejected:
        rows.append((str(result.path / "rejects.jsonl"), "what could not be used, and why"))
    show_rows(rows)


def _outcome_rows(counts: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    yield "records in", f"{counts['input']:,}"
    for outcome in ("kept", "used", "leftover", "made"):
        if counts[outcome]:
            yield outcome, f"{counts[outcome]:,}"
    for outcome in ("dropped", "rejected"):
        for reason, number in counts[outcome].items():
            yield f"{outcome}: {reason}", f"{number:,}"


def _figure_rows(figures: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in figures.items():
        if isinstance(value, bool | str | int | float):
            yield name.replace("_", " "), _readable(value)
        elif _is_short_count(value):
            parts = (f"{key}: {_readable(number)}" for key, number in value.items())
            yield name.replace("_", " "), ", ".join(parts)


def _is_short_count(value: Any) -> bool:
    """Whether a figure is a few numbers by name, such as records by rating."""
    return (
        isinstance(value, dict)
        and 0 < len(value) <= MAX_COUNTS_SHOWN
        and all(isinstance(number, int | float) for number in value.values())
    )


def _readable(value: bool | str | float) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
