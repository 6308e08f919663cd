"""What the README says to type works as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example pools, as a checkout has them."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "pool.jsonl").symlink_to(ROOT / "examples" / "pool.jsonl")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_for_a_wheel(folder: Path) -> None:
    (block,) = (text for kind, text in BLOCKS if kind == "bash" and "lmmixup dedup" in text)
    said: list[str] = []
    for line in block.splitlines():
        command = [sys.executable, "-m", *shlex.split(line, comments=True)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said += done.stdout.splitlines()
    assert {path.name for path in folder.iterdir()} >= {"deduped", "clusters", "distilled"}
    (shown,) = (text for kind, text in BLOCKS if kind == "text" and "dedup (deduped)" in text)
    assert [line for line in shown.splitlines() if line not in said] == []
    counts = {tuple(line.rsplit(maxsplit=1)) for line in said if line}
    for label, number in (("records in", 494), ("kept", 440), ("clusters", 147), ("made", 147)):
        assert (label, str(number)) in counts
        assert str(number) in README


def test_python(folder: Path) -> None:
    block = "".join(text for kind, text in BLOCKS if kind == "python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # An array may take more than one line.
    assert len(done.stdout.splitlines()) >= block.count("print(") > 2
    assert "[1 2]\nDuplicate(record=0, kept=2, similarity=1.0)\n" in done.stdout
    assert (folder / "clusters" / "data.parquet").exists()
