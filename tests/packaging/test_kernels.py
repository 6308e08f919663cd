"""The kernels are a distribution of their own, and shadow nobody."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

KERNELS = Path(__file__).resolve().parents[2] / "kernels"


def test_the_folder_is_no_package() -> None:
    """A top-level `kernels` that can be imported would be taken for another project's."""
    assert not (KERNELS / "__init__.py").exists()


def test_needs_torch_and_triton_only() -> None:
    project = tomllib.loads((KERNELS / "pyproject.toml").read_text())["project"]
    names = {line.split(">")[0] for line in project["dependencies"]}
    assert names == {"torch", "triton"}


def test_knows_nothing_of_lmmixup() -> None:
    for path in (KERNELS / "lmmixup_kernels").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not [name for name in names if name.split(".")[0] == "lmmixup"], path
