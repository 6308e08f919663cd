"""What all tests share."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent

# A drawn example may take long on a machine with other work, and that is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_configure() -> None:
    """Lets Ctrl-C through to processes under test: a job in the background starts deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the tests marked `torch` where torch is missing."""
    if importlib.util.find_spec("torch") is None:
        skip = pytest.mark.skip(reason="torch is not installed")
        for item in items:
            if item.get_closest_marker("torch") is not None:
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def _one_thread_of_torch(request: pytest.FixtureRequest) -> Iterator[None]:
    """Waiting threads of torch spin: on a busy machine two are ten times slower than one."""
    if request.node.get_closest_marker("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real public data sets that is not part of the repository."""
    folder = Path(os.environ.get("LMMIXUP_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set LMMIXUP_TEST_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def example_pool() -> Path:
    """The pool that comes with the repository."""
    return ROOT / "examples" / "pool.jsonl"
