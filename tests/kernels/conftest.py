"""Kernels run here in Triton's interpreter where no GPU is; without torch all of it is skipped."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent

TORCH = importlib.util.find_spec("torch") is not None


def pytest_configure() -> None:
    if TORCH:
        import torch

        if not torch.cuda.is_available():
            # read when a kernel is declared, so before any is imported
            os.environ.setdefault("TRITON_INTERPRET", "1")


class NoTorch(pytest.File):
    """A file of this folder where torch is missing: one skipped test that says so."""

    def collect(self) -> list[pytest.Item]:
        return [Skipped.from_parent(self, name="needs torch")]


class Skipped(pytest.Item):
    def runtest(self) -> None:
        pytest.skip("torch is not installed; install the extra `train`")

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name  # a skipped test must have a line


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.File | None:
    return None if TORCH else NoTorch.from_parent(parent, path=module_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    gpu = TORCH and _has_gpu()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.torch)
            if item.get_closest_marker("gpu") and not gpu:
                item.add_marker(pytest.mark.skip(reason="no GPU here"))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
