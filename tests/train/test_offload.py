"""Two real processes over gloo: the presets with offload, LoRA under ZeRO-3, runs of W&B."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
import wandb_run
from training import KILLER, STEPS, TWO, at_start, command, invoke, read_log, start, stop_after

from lmmixup.train import export, log

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
    """Killed, exported, gone on with, merged and reported by two processes as by one."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM

    paths, lora = {"model": model, "data": mixture}, (*STEPS, "--lora-rank", "2")
    one = (*lora, "--micro-batch-size", "4")
    assert invoke("sft", tmp_path / "one", paths, *one).exit_code == 0
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3)
        invoke("sft", tmp_path / "stopped", paths, *one)
    options = (*lora, *TWO, "--zero", "3", "--report-to", "wandb")
    given = command("sft", tmp_path / "two", paths, *options)
    work = tmp_path / "two/.sft.partial/work"
    tracked = {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}
    killed = start(given, search=[at_start(tmp_path / "killer", KILLER)], KILL_RANK="1",
                   KILL_WHEN="step 3", KILL_AFTER_S="0", KILL_WORK=str(work),
                   WANDB_MODE="disabled")  # fmt: skip
    assert killed.returncode == 1

    last = "checkpoints/checkpoint-2"
    whole = export(work / last, tmp_path / "whole")
    apart = export(work / last, tmp_path / "apart", merge_lora=False)
    expected = export(tmp_path / "stopped/.sft.partial/work" / last, tmp_path / "expected")
    assert (apart / "adapter_model.safetensors").is_file()
    merged = AutoPeftModelForCausalLM.from_pretrained(apart).merge_and_unload()
    assert same(merged, AutoModelForCausalLM.from_pretrained(expected))
    assert same(AutoModelForCausalLM.from_pretrained(whole), merged)
    assert not same(merged, AutoModelForCausalLM.from_pretrained(model))

    done = start(given, **tracked)
    assert done.returncode == 0, done.stderr
    logs = [log.read(tmp_path / name / "sft/log.jsonl") for name in ("one", "two")]
    one_s, two_s = ([entry["loss"] for entry in entries if "loss" in entry] for entries in logs)
    assert two_s == pytest.approx(one_s, abs=2e-5)
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / name / "sft")
              for name in ("one", "two")]  # fmt: skip
    assert same(*models)
    if importlib.util.find_spec("wandb") is None:
        assert "wandb is not installed" in done.stderr
        return
    (run,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    kinds = [record.WhichOneof("record_type") for record in wandb_run.records(run)]
    assert kinds.count("history") >= 3
    assert kinds[-1] == "exit"  # closed, though processes end without tidying up


def same(one: Any, other: Any) -> bool:
    """Whether two models have the same weights, within what the order of sums changes."""
    theirs = other.state_dict()
    return all(weight.allclose(theirs[name], atol=1e-5)
               for name, weight in one.state_dict().items())  # fmt: skip
