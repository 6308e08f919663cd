"""`lmmixup embed` on a real file."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from lmmixup.embed import read_vectors

if TYPE_CHECKING:
    from pathlib import Path


def lmmixup(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lmmixup", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_command_writes_the_folder(example_pool: Path, tmp_path: Path) -> None:
    done = lmmixup("embed", example_pool, "-o", tmp_path / "v", "--dtype", "f16", "--json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    vectors = read_vectors(tmp_path / "v").vectors_ND
    assert len(vectors) == manifest["counts"]["kept"] > 300
    assert manifest["figures"]["dtype"] == "f16"


def test_command_says_what_is_wrong(example_pool: Path, tmp_path: Path) -> None:
    for args, status, message in [
        (["--embedder", "bert"], 2, "unknown embedder 'bert'"),
        (["--dim", "4"], 2, "--dim"),
        (["--vectors", str(tmp_path / "no.npy")], 1, "no.npy: No such file"),
    ]:
        done = lmmixup("embed", example_pool, "-o", tmp_path / "v", *args, "--quiet")
        assert done.returncode == status
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "v").exists()
