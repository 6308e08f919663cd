"""The GPU benches as far as no GPU is needed: their steps, their files, their calls of peers."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

GPU = Path(__file__).resolve().parents[2] / "benches" / "gpu"

pytestmark = pytest.mark.filterwarnings("ignore")  # peers' own


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(GPU))
    return importlib.import_module


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_rehearsal_writes_every_part(tmp_path: Path) -> None:
    command = [sys.executable, str(GPU / "run.py"), "--rehearse", "--results", str(tmp_path)]
    done = subprocess.run(
        [*command, "heads-1.5B-8k", "duplicates", "graph"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no figure above is a measurement" in done.stdout
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("gpu-*.json")}
    assert found.keys() == {"gpu-heads-1.5B-8k", "gpu-duplicates", "gpu-graph"}
    for document in found.values():
        assert "stopped" not in document
        assert document["machine"]["commit"]
    rows = found["gpu-heads-1.5B-8k"]["rows"]
    assert {row["case"] for row in rows if "case" in row} == {"forward", "frozen", "full"}
    # a contender is timed, or it is said why not
    assert all("ms" in row or "left_out" in row for row in rows)
    assert {row["name"] for row in rows} > {"ours score", "ours stored", "trl", "verl", "unsloth"}


def test_what_has_no_time_left_says_so_and_is_done_again(bench, tmp_path: Path) -> None:
    run = bench("run")
    rows, path = tmp_path / "rows.jsonl", tmp_path / "gpu-graph.json"
    options = {"parts": ["graph"], "rehearse": True, "child": str(rows), "seconds": 0.0}
    assert run.child(argparse.Namespace(**options)) == 0
    assert json.loads(rows.read_text().splitlines()[-1]) == {"out_of_time": True}
    machine = {"gpu": "a", "commit": "b"}
    run.write(path, {"machine": machine, "stopped": "out of time"})
    assert not run.is_done(path, machine)
    run.write(path, {"machine": machine})
    assert run.is_done(path, machine)
    assert not run.is_done(path, {**machine, "commit": "c"})
    assert not run.is_done(path, {**machine, "commit": "b-dirty"})


def test_a_target_is_judged_on_a_gpu_alone(bench) -> None:
    judge = bench("verdict").judge
    row = {"name": "trl", "case": "frozen", "times_ours": 1.4}
    assert judge(row, "cpu") == row
    assert judge(row, "cuda")["met"] is False
    assert judge({**row, "times_ours": 1.6}, "cuda")["met"] is True
    ours = {"name": "ours score", "case": "forward", "cublas_share": 0.8}
    assert judge(ours, "cuda")["met"] is True


@pytest.mark.parametrize("name", ["trl", "liger"])
@pytest.mark.parametrize("case", ["forward", "frozen", "full"])
def test_peers_are_called_as_they_want_it(bench, name: str, case: str) -> None:
    heads = bench("heads")
    pytest.importorskip(heads.PEERS[name][1])
    hidden, weight, targets = heads.peaky(20, 32, 131, "cpu")
    x = hidden.float().requires_grad_(case != "forward")
    w = weight.float().requires_grad_(case == "full")
    found = heads.PEERS[name][0](x, w, targets)
    assert (found - heads.eager(x, w, targets)).abs().max() < 1e-4
    if case != "forward":
        found.sum().backward()
        assert x.grad.any()
        assert case == "frozen" or w.grad.any()


def test_calls_that_need_a_gpu_fit_their_signatures() -> None:
    cce = pytest.importorskip("cut_cross_entropy").linear_cross_entropy
    x = torch.zeros(1)
    bound = inspect.signature(cce).bind(x, x, x, reduction="none")
    assert list(bound.arguments) == ["e", "c", "targets", "reduction"]
    grpo = pytest.importorskip("liger_kernel.chunked_loss").LigerFusedLinearGRPOLoss
    inspect.signature(grpo).bind(beta=0.0, use_ref_model=False)
    names = list(inspect.signature(grpo.forward).parameters)[1:6]
    assert names == ["_input", "lin_weight", "selected_token_ids", "attention_mask", "advantages"]
