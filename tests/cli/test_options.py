"""Options made from a config: one default, clear errors, commas for tuples."""

from __future__ import annotations

from typing import Any, Literal

import click
from click.testing import CliRunner
from pydantic import Field

from lmmixup.cli.options import build, command_with, options_of
from lmmixup.cli.stage import QUIET, SOURCES
from lmmixup.errors import ArgumentError
from lmmixup.stage import StageConfig


class Config(StageConfig):
    """A config with one field of each kind."""

    threshold: float = Field(0.7, gt=0, le=1)
    """Similarity from which two records are the same."""
    method: Literal["join", "minhash"] = "join"
    """How pairs are found."""
    verify: bool = True
    """Check each pair."""
    prefer_source: tuple[str, ...] = ()
    """Sources to keep first."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Names."""
    max_tokens: int | None = None
    """Bound on the text of a cluster."""


class PoolOptions(StageConfig):
    """What several commands have; the help has a heading of its own for a class of this name."""

    strict: bool = False
    """Stop at the first record."""


class OwnConfig(PoolOptions):
    """A config that adds to another one."""

    seed: int = 0
    """Of all that is drawn."""


def run(*args: str) -> tuple[Config | Exception | None, str]:
    seen: list[Config] = []

    def callback(**given: Any) -> None:
        seen.append(build(Config, given))

    command = command_with(
        "fake", callback, options_of(Config), examples=["lmmixup fake"], help="Does nothing."
    )
    result = CliRunner().invoke(command, args)
    return (seen[0] if seen else result.exception), result.output


def test_nothing_given_is_the_default() -> None:
    assert run()[0] == Config()


def test_every_kind_is_parsed() -> None:
    config, _ = run(
        "--threshold", "0.8", "--method", "minhash", "--no-verify", "--prefer-source", "a,b",
        "--columns", "prompt=q,completion=a", "--max-tokens", "9",
    )  # fmt: skip
    assert config == Config(
        threshold=0.8,
        method="minhash",
        verify=False,
        prefer_source=("a", "b"),
        columns={"prompt": "q", "completion": "a"},
        max_tokens=9,
    )


def test_several_values_come_together_or_one_by_one() -> None:
    config, _ = run("--prefer-source", "a", "--prefer-source", "b,c")
    assert config == Config(prefer_source=("a", "b", "c"))


def test_out_of_range_names_the_option_and_what_came() -> None:
    error, _ = run("--threshold", "3")
    assert isinstance(error, ArgumentError)
    assert str(error) == "--threshold: input should be less than or equal to 1, got 3.0"


def test_a_pair_without_equals_is_refused() -> None:
    _, output = run("--columns", "prompt")
    assert "expected A=B pairs separated by commas, got 'prompt'" in output


def test_help_has_descriptions_defaults_and_examples() -> None:
    _, output = run("--help")
    assert "Similarity from which two records are the same. [default: 0.7]" in " ".join(
        output.split()
    )
    assert "lmmixup fake" in output


def test_every_option_has_help() -> None:
    for option in options_of(Config):
        assert isinstance(option, click.Option)
        assert option.help


def test_help_shows_own_options_first_and_shared_ones_under_their_heading() -> None:
    command = command_with(
        "fake",
        lambda **_: None,
        [SOURCES, QUIET, *options_of(OwnConfig)],
        examples=["x"],
        help="Does.",
    )
    lines = CliRunner().invoke(command, ["--help"]).output.splitlines()
    headings = [line for line in lines if line.endswith("ptions:")]
    assert headings == ["Options:", "Pool options:", "Run options:"]
    assert sum("POOL" in line for line in lines) == 1  # the usage alone
    starts = [line.split()[0] for line in lines if line.lstrip().startswith("-")]
    assert starts == ["--seed", "--strict", "-q,", "--help"]
