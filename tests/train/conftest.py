"""What the tests of training share: a drawn model, a small MIXTURE folder, a library."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tiny_mixer
from training import STEPS, invoke, read_log, stop_after

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS = Path(__file__).resolve().parents[2] / "examples" / "rated.jsonl"
NEEDED = ("torch", "transformers", "trl", "accelerate", "datasets")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what needs torch where it is not."""
    if item.get_closest_marker("torch"):
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"{missing[0]} is not installed; pip install 'lmmixup[train]'")


@pytest.fixture(scope="session")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MIXTURE folder of 24 samples a part, all of the task type qa."""
    return tiny_mixer.make_mixture(tmp_path_factory.mktemp("mixture") / "mixture", RECORDS)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn model with tied embeddings."""
    return tiny_mixer.make_model(tmp_path_factory.mktemp("model") / "model", RECORDS)


@pytest.fixture(scope="session")
def library_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library for all task types."""
    from lmmixup import library
    from lmmixup.pool import open_pool

    folder = tmp_path_factory.mktemp("library") / "lib"
    config = library.LibraryConfig(dim=64, text="completion", rating="rating")
    library.run(open_pool(RECORDS), config, output=folder)
    return folder


@pytest.fixture
def train(model: Path, mixture: Path, library_folder: Path, tmp_path: Path) -> Callable[..., Any]:
    """Runs `lmmixup train KIND` and gives its log; raises what it raised."""

    def call(kind: str, name: str, *options: str, **changed: str) -> list[dict[str, Any]]:
        result = invoke(
            kind, tmp_path / name, {"model": model, "data": mixture,
                                    "library": library_folder, **changed}, *options,
        )  # fmt: skip
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return read_log(tmp_path / name / kind / "log.jsonl")

    return call


@pytest.fixture(scope="session")
def alone(model: Path, mixture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`STEPS` in one process: finished, and stopped with its second checkpoint."""
    paths = {"model": model, "data": mixture}
    folder = tmp_path_factory.mktemp("alone")
    assert invoke("sft", folder / "whole", paths, *STEPS, "--micro-batch-size", "4").exit_code == 0
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3)
        invoke("sft", folder / "stopped", paths, *STEPS, "--micro-batch-size", "4")
    return folder
