"""A run that was killed is continued by the next one and ends with the same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import os, signal, sys
from pathlib import Path
from lmmixup.pool import open_pool
from lmmixup.tokenize import TokenizeConfig, run, shards

pool, model, output, kill_at = sys.argv[1:]
shards.MIB = 64  # many small shards
write, written = shards._write_shard, []

def write_or_die(path, *rest):
    if str(len(written)) == kill_at:
        write(path, *rest)  # a shard that is there in part, as far as the next run knows
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(path.name)
    return write(path, *rest)

shards._write_shard = write_or_die
config = TokenizeConfig(tokenizer=Path(model), max_row_tokens=128)
run(open_pool(pool), config, output=output, num_threads=2)
print(len(written))
"""


def start(pool: Path, model: Path, output: Path, kill_at: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(pool), str(model), str(output), kill_at]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kill_at", ["0", "5"])
def test_a_killed_run_goes_on(
    model: Path, tmp_path: Path, example_pool: Path, kill_at: str
) -> None:
    whole = start(example_pool, model, tmp_path / "whole", "never")
    assert whole.returncode == 0, whole.stderr
    killed = start(example_pool, model, tmp_path / "out", kill_at)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out").exists()
    again = start(example_pool, model, tmp_path / "out", "never")
    assert again.returncode == 0, again.stderr
    assert int(again.stdout) == int(whole.stdout) - int(kill_at)
    for path in sorted((tmp_path / "whole").iterdir()):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes(), path.name
    assert not (tmp_path / ".out.partial").exists()
