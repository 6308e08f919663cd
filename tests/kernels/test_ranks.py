"""Two gloo processes: a vocabulary in parts, and a head that ZeRO-3 has partitioned."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run(*what: str) -> None:
    env = {**os.environ, "PYTHONPATH": f"{HERE.parents[1] / 'kernels'}:{HERE}",
           "OMP_NUM_THREADS": "1",
           # DeepSpeed builds its exchange between processes with the ninja beside this Python
           "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # fmt: skip
    env.pop("TRITON_INTERPRET", None)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [sys.executable, *command, str(HERE / "ranks.py"), *what],
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


@pytest.mark.slow
def test_same_loss_curve_with_every_parameter_in_parts(tmp_path: Path) -> None:
    for package in ("deepspeed", "trl", "datasets"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    logs = []
    for kind in ("ours", "theirs"):
        run("trainer", kind, str(tmp_path / kind))
        logs.append(json.loads((tmp_path / kind / "log.json").read_text()))
    assert len(logs[0]) == len(logs[1]) == 4
    for a, b in zip(*logs, strict=True):
        for name in a.keys() & {"loss", "entropy", "kl", "grad_norm", "reward"}:
            assert a[name] == pytest.approx(b[name], rel=2e-4, abs=2e-6), name
