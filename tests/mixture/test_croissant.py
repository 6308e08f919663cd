"""Other people's readers take the folder."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lmmixup.mixture import MixtureConfig, open_texts, run

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

CROISSANT = """
import sys, mlcroissant
data = mlcroissant.Dataset(jsonld=sys.argv[1])
assert not data.metadata.issues.errors, data.metadata.issues.report()
rows = list(data.records("test"))
assert rows and all(row["test/messages"]["test/messages/role"][0] == b"system" for row in rows)
print(len(rows))
"""


@pytest.fixture(scope="module")
def built(texts: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    folder = tmp_path_factory.mktemp("mixture") / "out"
    config = MixtureConfig(library=False, license="cc-by-sa-4.0")
    result = run(open_texts(texts), config, output=folder)
    return folder, result.figures["test"]


def test_mlcroissant_validates_and_reads_it(built: tuple[Path, int]) -> None:
    pytest.importorskip("mlcroissant", reason="the test group is not installed")
    folder, num_test = built
    # In a process of its own: what it imports warns of its own affairs.
    args = [sys.executable, "-c", CROISSANT, str(folder / "croissant.json")]
    done = subprocess.run(args, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(num_test)]


@pytest.mark.torch
def test_datasets_reads_the_files_and_the_folder(built: tuple[Path, int], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="pip install 'lmmixup[train]'")
    folder, num_test = built
    files = {name: str(folder / f"{name}.parquet") for name in ("cold_start", "test")}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))
    assert len(loaded["test"]) == num_test
    assert loaded["test"][0]["messages"][0]["role"] == "system"
    whole = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    assert set(whole) == {"cold_start", "rl", "validation", "test"}
