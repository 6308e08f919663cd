"""Tokenizers for the tests of `tokenize`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from small_tokenizers import write_tokenizers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def tokenizers_folder(tmp_path_factory: pytest.TempPathFactory, example_pool: Path) -> Path:
    """A folder with a folder for each kind of tokenizer."""
    folder = tmp_path_factory.mktemp("tokenizers")
    write_tokenizers(folder, example_pool)
    return folder


@pytest.fixture(scope="session")
def model(tokenizers_folder: Path) -> Path:
    """Folder of a byte-level tokenizer with a ChatML template."""
    return tokenizers_folder / "bytes"
