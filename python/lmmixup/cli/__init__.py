"""The command line: one command a stage, loaded only when it is called."""

from __future__ import annotations

import gc
import importlib
import sys
from difflib import get_close_matches
from typing import Any

import click

from lmmixup.errors import ArgumentError, LmmixupError

COMMANDS = {
    "pool": "Import, look at and export instruction pools.",
    "dedup": "Remove exact and near-duplicate records.",
    "embed": "Turn records into vectors.",
    "library": "Make and judge libraries of rated records.",
    "rate": "Rate records from 0 to 5 by judge LLMs or by a library.",
    "curate": "Correct a judge's noisy ratings by their neighbours.",
    "split": "Split rated records into high, low and unrated.",
    "rewards": "Look at rewards before training.",
    "cluster": "Group records into clusters of bounded size.",
    "distill": "Make one record of each cluster.",
    "mixture": "Build the training set of a mixer from plain texts.",
    "train": "Train the mixer: supervised fine-tuning, then GRPO.",
    "select": "Select the records to train on, and merge distilled with original ones.",
    "tokenize": "Turn chats into packed token ids.",
    "explain": "Say what became of one record.",
}
"""Name and one line of help; the command itself is `command` in `lmmixup.cli.NAME`."""

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REJECTS = 3
EXIT_INTERRUPTED = 130


class LazyGroup(click.Group):
    """Shows the list of commands without importing any of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in the order of the pipeline."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Imports the command that was asked for."""
        if cmd_name not in COMMANDS:
            near = get_close_matches(cmd_name, COMMANDS, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"No such command '{cmd_name}'.{hint}", ctx)
        return _imported(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Writes the list from `COMMANDS`."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _imported(name: str) -> click.Command:
    """The command, with what its import made taken out of the collector's sight.

    Imports make some 200,000 objects that stay: looking at them while they come, and again with
    each full collection of a run, is a tenth of the time of a short one.
    """
    gc.disable()
    try:
        command: click.Command = importlib.import_module(f"lmmixup.cli.{name}").command
    finally:
        gc.enable()
    gc.freeze()
    return command


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 failed, 2 wrong usage, 3 done but some records were rejected, "
    "130 interrupted.",
)
@click.version_option(package_name="lmmixup", prog_name="lmmixup")
def cli() -> None:
    """Turn a large, noisy instruction pool into a small set that trains a better model."""


def main(args: list[str] | None = None) -> None:
    """Runs the command line and exits with its status.

    Args:
        args: Arguments without the program's name; `None` takes the process's own.
    """
    try:
        status: Any = cli.main(args=args, prog_name="lmmixup", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LmmixupError as error:
        click.echo(f"lmmixup: {error}", err=True)
        sys.exit(EXIT_USAGE if isinstance(error, ArgumentError) else EXIT_FAILED)
    except (KeyboardInterrupt, click.Abort):
        click.echo("lmmixup: interrupted; the same command continues", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does.
        sys.stderr.close()
        sys.exit(EXIT_FAILED)
    sys.exit(status if isinstance(status, int) else 0)
