"""Two gloo processes: a vocabulary in parts, and a head that ZeRO-3 has partitioned."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run(what: str) -> None:
    env = {**os.environ, "PYTHONPATH": f"{HERE.parents[1] / 'kernels'}:{HERE}",
           "OMP_NUM_THREADS": "1",
           # DeepSpeed builds its exchange between processes with the ninja beside this Python
           "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # fmt: skip
    env.pop("TRITON_INTERPRET", None)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [sys.executable, *command, str(HERE / "ranks.py"), what],
        env=env, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stdout.count("equal") == 2


@pytest.mark.slow
def test_a_vocabulary_in_parts() -> None:
    run("vocab")


@pytest.mark.slow
def test_a_head_in_parts() -> None:
    if importlib.util.find_spec("deepspeed") is None:
        pytest.skip("deepspeed is not installed")
    run("zero3")
