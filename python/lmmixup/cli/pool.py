"""`lmmixup pool import | stats | head | export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmmixup.cli.options import build, command_with, options_of
from lmmixup.cli.stage import (
    FORMS,
    JSON,
    NUM_THREADS,
    OVERWRITE,
    QUIET,
    REJECTS_OK,
    SOURCES,
    make_reporter,
    rejects_status,
    stage_command,
)
from lmmixup.cli.table import show_table
from lmmixup.pool import PoolConfig, PoolOptions, export, head, open_pool, run, stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lmmixup.pool import Lengths, PoolStats

MAX_CHARACTERS = 800


def _stats(sources: Sequence[str], **given: Any) -> int:
    pool = open_pool(sources, build(PoolOptions, given))
    with make_reporter(quiet=given["quiet"] or given["as_json"]) as reporter:
        found = stats(pool, num_threads=given["num_threads"], reporter=reporter)
    if given["as_json"]:
        click.echo(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        _show_stats(found)
    return rejects_status(pool.rejects, rejects_ok=given["rejects_ok"])


def _show_stats(found: PoolStats) -> None:
    click.echo(f"schema {found.schema_name}; lengths in characters: mean / median / p95 / max")
    show_table(
        ("source", "records", "prompt", "completion", "empty prompt", "empty compl.", "duplicates"),
        [
            (
                row.source,
                f"{row.num_records:,}",
                _lengths(row.prompt),
                _lengths(row.completion),
                f"{row.empty_prompts:,}",
                f"{row.empty_completions:,}",
                f"{row.exact_duplicates:,} ({row.exact_duplicates / max(row.num_records, 1):.1%})",
            )
            for row in found.sources
        ],
    )


def _lengths(lengths: Lengths) -> str:
    values = (lengths.mean, lengths.median, lengths.p95, lengths.max)
    return " / ".join(f"{value:,.0f}" for value in values)


def _head(sources: Sequence[str], num_records: int, **given: Any) -> int:
    pool = open_pool(sources, build(PoolOptions, given))
    records = head(pool, num_records)
    if given["as_json"]:
        for record in records:
            click.echo(json.dumps(record, ensure_ascii=False))
        return 0
    click.echo(f"schema: {pool.schema_name}", err=True)
    for record in records:
        click.secho(f"── {record['id']} ({record['source']})", bold=True)
        for turn in record["messages"]:
            click.secho(f"{turn['role']}:", fg="cyan")
            click.echo(_indented(turn["content"]))
        click.echo()
    return 0


def _indented(text: str) -> str:
    shown = text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + " …"
    return "\n".join(f"    {line}" for line in shown.splitlines() or [""])


def _export(sources: Sequence[str], output: Path, **given: Any) -> int:
    pool = open_pool(sources, build(PoolOptions, given))
    to_stdout = str(output) == "-"
    with make_reporter(quiet=given["quiet"]) as reporter:
        num_records = export(
            pool,
            output,
            overwrite=given["overwrite"],
            num_threads=given["num_threads"],
            reporter=reporter,
        )
    if not given["quiet"] and not to_stdout:
        click.echo(f"{output}: {num_records:,} records")
    return rejects_status(pool.rejects, rejects_ok=given["rejects_ok"])


def _looking(
    name: str, callback: Any, params: Iterable[click.Parameter], text: str, examples: Iterable[str]
) -> click.Command:
    every = [SOURCES, *params, *options_of(PoolOptions)]
    return command_with(name, callback, every, help=text, examples=examples)


command = click.Group(
    "pool",
    help=f"Import, look at and export instruction pools.\n\n{FORMS}",
    commands=[
        stage_command(
            "import",
            run,
            PoolConfig,
            help="Read pools of any form and write one canonical pool.",
            examples=[
                "lmmixup pool import examples/pool.jsonl -o pool/",
                "lmmixup pool import 'data/*.jsonl.gz' more.parquet -o pool/ --source mine",
                "lmmixup pool import qa.csv -o pool/ --columns prompt=question,completion=answer",
            ],
            files={
                "data.parquet": "the records",
            },
        ),
        _looking(
            "stats",
            _stats,
            [NUM_THREADS, QUIET, JSON, REJECTS_OK],
            "Count and measure the records of each source.",
            ["lmmixup pool stats examples/pool.jsonl", "lmmixup pool stats pool/ --json"],
        ),
        _looking(
            "head",
            _head,
            [
                click.Option(["-n", "num_records"], default=5, show_default=True,
                             type=click.IntRange(min=1), help="Number of records."),
                JSON,
            ],
            "Show the first records as conversations.",
            ["lmmixup pool head examples/pool.jsonl -n 3"],
        ),
        _looking(
            "export",
            _export,
            [
                click.Option(["-o", "--output"], required=True, type=click.Path(path_type=Path),
                             help="File to write (.jsonl, .jsonl.gz, .jsonl.zst, .json, .csv, "
                             ".parquet), or - for JSONL on standard output."),
                OVERWRITE, NUM_THREADS, QUIET, REJECTS_OK,
            ],
            "Write records with the columns that came in, under their own names.",
            [
                "lmmixup pool export deduped/ -o deduped.jsonl",
                "lmmixup pool export deduped/ -o - | head -1",
            ],
        ),
    ],
)  # fmt: skip
