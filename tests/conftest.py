"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


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
