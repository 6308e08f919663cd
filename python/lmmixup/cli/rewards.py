"""`lmmixup rewards audit SAMPLE...` and `lmmixup rewards calibrate PAIRS...`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from lmmixup.cli import EXIT_FAILED
from lmmixup.cli.options import build, command_with, options_of
from lmmixup.cli.stage import JSON, QUIET, REJECTS_OK, SOURCES, make_reporter, rejects_status
from lmmixup.cli.table import show_rows, show_table
from lmmixup.errors import ArgumentError
from lmmixup.library import open_libraries
from lmmixup.pool import PoolOptions, open_pool
from lmmixup.ratings import check_rating, ratings_of
from lmmixup.rewards import RewardConfig, Rewards, audit, calibrate_alignment
from lmmixup.rewards.alignment import ALIGNED_FROM, FALSE_ACCEPTS

if TYPE_CHECKING:
    from lmmixup.rewards import Audit, Calibration


def _audit(**given: Any) -> int:
    config = build(RewardConfig, given)
    rewards = Rewards(config)
    with make_reporter(quiet=given["quiet"] or given["as_json"]):
        pool = open_pool(given["sources"], build(PoolOptions, given))
        records = pool.read()
        names = [given["group_column"], config.reference_column]
        for name in names[:1] if config.reference_column not in pool.schema.names else names:
            if name not in pool.schema.names:
                known = ", ".join(pool.schema.names)
                raise ArgumentError(f"the sample has no column {name!r}; it has {known}")
        columns = {name: records[name].to_pylist() for name in pool.schema.names}
        _, groups_N = np.unique(
            np.array([str(value) for value in columns[given["group_column"]]]), return_inverse=True
        )
        completions = columns.pop("completion")
        columns.pop("messages", None)
        result = audit(rewards, completions, groups_N, **columns)
    if given["as_json"]:
        click.echo(json.dumps(result.to_dict()))
    elif not given["quiet"]:
        _show(result)
    num_errors = sum(result.unscored_reasons.values())
    if num_errors > config.max_reward_errors:
        click.echo(
            f"lmmixup: {num_errors:,} outputs could not be scored, a training ends above "
            f"{config.max_reward_errors:,} (--max-reward-errors)",
            err=True,
        )
        return EXIT_FAILED
    return rejects_status(pool.rejects, rejects_ok=given["rejects_ok"])


def _show(result: Audit) -> None:
    show_rows(
        [
            ("outputs", f"{result.num_outputs:,}"),
            ("groups", f"{result.num_groups:,}"),
            ("groups with one reward", f"{result.zero_variance:.1%}"),
            ("unscored", f"{result.unscored:.1%}"),
            *(
                (f"unscored: {why}", f"{number:,}")
                for why, number in result.unscored_reasons.items()
            ),
            *(
                (f"aligned from a cosine of, library {name}", f"{threshold:g}")
                for name, threshold in result.alignment_thresholds.items()
            ),
        ]
    )
    rows = []
    for row in result.rows:
        numbers = (row.mean, row.std, row.length_correlation)
        shown = ["-" if number is None else f"{number:.3f}" for number in numbers]
        never = ", ".join(f"{value:g}" for value in row.dead)
        name = f"{row.task_type} {row.name}"
        rows.append((name, f"{row.num_outputs:,}", f"{row.unscored:.1%}", *shown, never))
    click.echo()
    show_table(("reward", "outputs", "unscored", "mean", "std", "with length", "never"), rows)
    click.echo()
    for warning in result.warnings:
        click.echo(f"warning: {warning}")


def _calibrate(**given: Any) -> int:
    with make_reporter(quiet=given["quiet"] or given["as_json"]):
        pool = open_pool(given["sources"], build(PoolOptions, given))
        check_rating(given["similarity"], pool.schema, "--similarity")
        pairs = pool.read()
        similarities_N = ratings_of(pairs[given["similarity"]], given["similarity"])
        made = {}
        for name, library in open_libraries(given["library"]):
            sides = [library.embedder.embed(pairs[side]) for side in ("prompt", "completion")]
            made[name] = calibrate_alignment(
                (sides[0] * sides[1]).sum(axis=1),
                similarities_N,
                false_accepts=given["false_accepts"],
                aligned_from=given["aligned_from"],
            )
    if given["as_json"]:
        click.echo(json.dumps({name: one.to_dict() for name, one in made.items()}))
    elif not given["quiet"]:
        _show_thresholds(made)
    return rejects_status(pool.rejects, rejects_ok=given["rejects_ok"])


def _show_thresholds(made: dict[str, Calibration]) -> None:
    show_table(
        ("library", "threshold", "differing", "accepted", "equal", "accepted"),
        [
            (
                name,
                f"{one.threshold:g}",
                f"{one.num_not_aligned:,}",
                f"{one.false_accepts:.1%}",
                f"{one.num_aligned:,}",
                "-" if one.true_accepts is None else f"{one.true_accepts:.1%}",
            )
            for name, one in made.items()
        ],
    )


audit_command = command_with(
    "audit",
    _audit,
    [
        SOURCES,
        *options_of(RewardConfig),
        click.Option(
            ["--group-column"],
            default="prompt",
            show_default=True,
            help="Column that outputs to one prompt share.",
        ),
        *options_of(PoolOptions),
        REJECTS_OK,
        QUIET,
        JSON,
    ],
    examples=["lmmixup rewards audit outputs.jsonl --library lib/"],
    help="Reward a sample of outputs and say what is wrong with the rewards: values that never "
    "come, groups with one reward, correlation with length, outputs without reward.",
)

calibrate_command = command_with(
    "calibrate",
    _calibrate,
    [
        SOURCES,
        click.Option(
            ["--library"],
            required=True,
            type=click.Path(path_type=Path),
            help="Library whose embedder is measured, or a folder with one for each task type.",
        ),
        click.Option(
            ["--similarity"],
            default="score",
            show_default=True,
            help="Column with how alike people call the two texts.",
        ),
        click.Option(
            ["--aligned-from"],
            default=ALIGNED_FROM,
            show_default=True,
            help="Similarity from which two texts say the same.",
        ),
        click.Option(
            ["--false-accepts"],
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            default=FALSE_ACCEPTS,
            show_default=True,
            help="Largest share of the other pairs that may count as aligned.",
        ),
        *options_of(PoolOptions),
        REJECTS_OK,
        QUIET,
        JSON,
    ],
    examples=[
        "lmmixup rewards calibrate stsb.jsonl --library lib/ --columns prompt=left,completion=right"
    ],
    help="Find the --alignment-threshold of a library's embedder from pairs of texts, a prompt "
    "and a completion each, that people have called more or less alike, such as STS-B.",
)

command = click.Group(
    "rewards",
    commands=[audit_command, calibrate_command],
    help="Look at rewards before training with them.",
)
