"""Two real processes over gloo: the presets with offload, LoRA under ZeRO-3, runs of W&B."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest
import wandb_run
from training import STEPS, TWO, command, invoke, read_log, start

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),
]  # fmt: skip

pytest.importorskip("deepspeed", reason="deepspeed is not installed; pip install 'lmmixup[train]'")


@pytest.mark.parametrize("zero", ["2", "3"])
def test_offload_makes_the_curve_of_one_process(
    zero: str, alone: Path, model: Path, mixture: Path, tmp_path: Path
) -> None:
    paths = {"model": model, "data": mixture}
    options = (*STEPS, *TWO, "--zero", zero, "--offload")
    done = start(command("sft", tmp_path / "out", paths, *options))
    assert done.returncode == 0, done.stderr
    one, two = read_log(alone / "whole/sft/log.jsonl"), read_log(tmp_path / "out/sft/log.jsonl")
    for key in ("loss", "grad_norm", "learning_rate"):
        expected = [entry[key] for entry in one]
        assert [entry[key] for entry in two] == pytest.approx(expected, abs=2e-5), key


def test_lora_under_zero_3(model: Path, mixture: Path, tmp_path: Path) -> None:
    """Trained, merged and reported by two processes as by one."""
    from transformers import AutoModelForCausalLM

    paths, lora = {"model": model, "data": mixture}, (*STEPS, "--lora-rank", "2")
    assert invoke("sft", tmp_path / "one", paths, *lora, "--micro-batch-size", "4").exit_code == 0
    options = (*lora, *TWO, "--zero", "3", "--report-to", "wandb")
    given = command("sft", tmp_path / "two", paths, *options)
    done = start(given, WANDB_MODE="offline", WANDB_DIR=str(tmp_path), WANDB_SILENT="true")
    assert done.returncode == 0, done.stderr
    logs = [read_log(tmp_path / name / "sft/log.jsonl") for name in ("one", "two")]
    one, two = ([entry["loss"] for entry in log] for log in logs)
    assert two == pytest.approx(one, abs=2e-5)
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / name / "sft") for name in
              ("one", "two")]  # fmt: skip
    theirs = models[0].state_dict()
    assert all(weight.allclose(theirs[name], atol=1e-5)
               for name, weight in models[1].state_dict().items())  # fmt: skip
    if importlib.util.find_spec("wandb") is None:
        assert "wandb is not installed" in done.stderr
        return
    (run,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    kinds = [record.WhichOneof("record_type") for record in wandb_run.records(run)]
    assert kinds.count("history") >= 5
    assert kinds[-1] == "exit"  # closed, though processes end without tidying up
