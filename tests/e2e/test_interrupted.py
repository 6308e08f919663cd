"""Ctrl-C is obeyed at once, and a killed run leaves nothing but a way to the same bytes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

STAGES = {
    "pool": ["pool", "import"],
    "dedup": ["dedup"],
    "embed": ["embed"],
    "cluster": ["cluster"],
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large_pool(tmp_path_factory: pytest.TempPathFactory, example_pool: Path) -> Path:
    """Some 40,000 distinct records: the example's, each with a number of its own in front."""
    path = tmp_path_factory.mktemp("large") / "pool.jsonl"
    rows = [json.loads(line) for line in example_pool.read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as file:
        for copy in range(80):
            for index, row in enumerate(rows):
                text = f"{copy * 7919 + index} {copy}{index} {row['instruction']} {copy % 13}"
                changed = {**row, "id": f"{copy}/{index}", "instruction": text}
                file.write(json.dumps(changed, ensure_ascii=False) + "\n")
    return path


def start(stage: str, pool: Path, output: Path) -> subprocess.Popen[str]:
    options = [str(pool), "-o", str(output), "--num-threads", "1"]
    command = [sys.executable, "-m", "lmmixup", *STAGES[stage], *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], path: Path, delay_s: float = 0.0) -> None:
    """Until the file or folder is there, and then some more; skips where the run is over."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(delay_s)
    if process.poll() is not None:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        pytest.skip(f"the run ended within {delay_s} s")


def cpu_of(pid: int) -> float:
    """CPU seconds of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of_children() -> float:
    """CPU seconds of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("delay_s", [0.0, 0.5, 2.5])
@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_is_felt_within_a_second(
    large_pool: Path, tmp_path: Path, stage: str, delay_s: float
) -> None:
    before_s = cpu_of_children()
    process = start(stage, large_pool, tmp_path / "out")
    wait_for(process, tmp_path / ".out.partial" / "out", delay_s)
    used_s = cpu_of(process.pid)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    if (tmp_path / "out").exists():
        assert (tmp_path / "out" / "manifest.json").exists()
        pytest.skip("the output was in place before the signal came")
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    # One second, and the interpreter's own way out; of its own time, whatever else runs here.
    assert cpu_of_children() - before_s - used_s < 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, large_pool: Path) -> Callable[[str], Path]:
    """The folder that a stage makes when nothing kills it."""

    @cache
    def run(stage: str) -> Path:
        folder = tmp_path_factory.mktemp(stage) / "whole"
        finish(start(stage, large_pool, folder))
        return folder

    return run


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate()
    assert process.returncode == 0, errors


@pytest.mark.parametrize("file", ["scratch", "out/data.parquet"])
@pytest.mark.parametrize("stage", ["dedup", "embed", "cluster"])
def test_a_killed_run_ends_with_the_same_bytes(
    large_pool: Path, tmp_path: Path, whole: Callable[[str], Path], stage: str, file: str
) -> None:
    process = start(stage, large_pool, tmp_path / "killed")
    wait_for(process, tmp_path / ".killed.partial" / file)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed").exists()
    finish(start(stage, large_pool, tmp_path / "killed"))
    assert os.listdir(tmp_path) == ["killed"]
    names = sorted(os.listdir(whole(stage)))
    assert names == sorted(os.listdir(tmp_path / "killed"))
    for name in names:
        same = (tmp_path / "killed" / name).read_bytes() == (whole(stage) / name).read_bytes()
        assert same, name
