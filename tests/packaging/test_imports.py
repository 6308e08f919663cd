"""The base install is light: what `import lmmixup` and `--help` load, by name."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lmmixup
from lmmixup.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]

HEAVY = {"numpy", "pyarrow", "pydantic", "matplotlib", "rich", "torch", "transformers"}


@pytest.mark.parametrize(
    "statement",
    [
        "import lmmixup",
        "import lmmixup.cli",
        (
            "from click.testing import CliRunner; from lmmixup.cli import cli; "
            "assert CliRunner().invoke(cli, ['--help']).exit_code == 0"
        ),
    ],
)
def test_heavy_packages_are_not_loaded(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_no_torch_in_the_base_install() -> None:
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert not [line for line in base if line.startswith(("torch", "transformers", "triton"))]


def test_every_command_is_a_module_of_the_package() -> None:
    assert set(COMMANDS) <= set(lmmixup.__all__)
    for name in lmmixup.__all__:
        assert getattr(lmmixup, name)
