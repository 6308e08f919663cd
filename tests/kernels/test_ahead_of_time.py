"""Every shipped configuration compiled for GPUs that are not here, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

HERE = Path(__file__).parent


def run(*command: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(HERE.parents[1] / "kernels")}
    env.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, *command], env=env, capture_output=True, text=True, check=False
    )
    assert not done.returncode or done.stdout, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_no_spills_tensor_cores_and_shared_memory_in_bounds(target: str) -> None:
    lines = run("-m", "lmmixup_kernels.aot", "--json", target).splitlines()
    made = [json.loads(line) for line in lines]
    assert len(made) == (29 if target == "gfx942" else 31)
    for entry in made:
        print(*entry.values())
    assert [entry for entry in made if entry["faults"]] == []


@pytest.mark.slow
def test_fifty_lengths_compile_each_kernel_at_most_twice() -> None:
    counts = json.loads(run(str(HERE / "sweep_lengths.py")))
    assert len(counts) == 11
    assert {name: count for name, count in counts.items() if not 1 <= count <= 2} == {}
