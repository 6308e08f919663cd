"""The list of commands, and what is said of one that is not in it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from lmmixup.cli import COMMANDS, cli


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_has_help(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert f" {name} [OPTIONS]" in result.output


@pytest.mark.parametrize(
    ("typed", "said"),
    [("dedp", "No such command 'dedp'. Did you mean 'dedup'?"), ("qqq", "No such command 'qqq'.")],
)
def test_a_mistyped_command_names_the_nearest(typed: str, said: str) -> None:
    result = CliRunner().invoke(cli, [typed])
    assert result.exit_code == 2
    assert result.output.rstrip().endswith(f"Error: {said}")
