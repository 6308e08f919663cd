"""Two real processes over gloo: ZeRO-2 and ZeRO-3 train as one process does, killed or not."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING

import pytest
from training import KILLER, ROOT, STEPS, TWO, at_start, command, read_log, start

from lmmixup.train import checkpoint, export, log

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),
]  # fmt: skip

VARIED = """
import varied_rewards
varied_rewards.install()
"""


pytest.importorskip("deepspeed", reason="deepspeed is not installed; pip install 'lmmixup[train]'")


@pytest.fixture(scope="module")
def paths(model: Path, mixture: Path) -> dict[str, Path]:
    return {"model": model, "data": mixture}


@pytest.mark.parametrize(
    ("zero", "killed_at"), [("2", ("1", "step 3")), ("3", ("0", "saving checkpoint 4"))]
)
def test_killed_and_started_again_it_is_one_training(
    zero: str, killed_at: tuple[str, str], alone: Path, paths: dict[str, Path], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    out, work = tmp_path / "out", tmp_path / "out" / ".sft.partial" / "work"
    killer = {"search": [at_start(tmp_path / "killer", KILLER)], "KILL_WORK": str(work)}
    given = command("sft", out, paths, *STEPS, *TWO, "--zero", zero)
    killed = start(given, **killer, KILL_RANK=killed_at[0], KILL_WHEN=killed_at[1],
                   KILL_AFTER_S="0")  # fmt: skip
    assert killed.returncode == 1
    assert "the same command continues from checkpoint-2" in killed.stderr
    kept = checkpoint.last_whole(work / "checkpoints")
    assert kept == work / "checkpoints" / "checkpoint-2"

    made = export(kept, tmp_path / "exported")
    ours = AutoModelForCausalLM.from_pretrained(made).state_dict()
    other = alone / "stopped" / ".sft.partial" / "work" / "checkpoints" / "checkpoint-2"
    theirs = AutoModelForCausalLM.from_pretrained(other).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(weight.allclose(theirs[name], atol=1e-5) for name, weight in ours.items())

    elsewhere = copytree(out, tmp_path / "elsewhere")
    assert "torchrun --standalone --nproc-per-node 2 -m lmmixup.train" in _said(given)
    # Again at any moment: at a step, while a checkpoint or the model is saved, or too late.
    rank, after_s = random.choice("01"), f"{random.uniform(0, 3):.3f}"
    start(given, **killer, KILL_RANK=rank, KILL_WHEN="any moment", KILL_AFTER_S=after_s)
    last = checkpoint.last_whole(work / "checkpoints")
    assert last is None or last >= kept, (rank, after_s)
    alike = command("sft", elsewhere, paths, *STEPS, "--processes", "1", "--zero", zero)
    for again, made in ((given, out), (alike, elsewhere)):
        if not (made / "sft").exists():
            done = start(again)
            assert done.returncode == 0, (rank, after_s, done.stderr)
        one, two = log.read(alone / "whole/sft/log.jsonl"), log.read(made / "sft/log.jsonl")
        for key in ("loss", "grad_norm", "learning_rate"):
            expected = [entry[key] for entry in one if "loss" in entry]
            got = [entry[key] for entry in two if "loss" in entry]
            assert got == pytest.approx(expected, abs=2e-5), (key, rank, after_s)


def _said(given: list[str]) -> str:
    """What `--prepare` prints for people with a scheduler of their own."""
    at = given.index("-o") + 1
    elsewhere = [*given[:at], given[at] + "-prepared", *given[at + 1 :], "--prepare"]
    return subprocess.run(elsewhere, text=True, capture_output=True, check=True).stdout


def test_grpo_under_zero_3_with_kernels_and_without(
    paths: dict[str, Path], library_folder: Path, tmp_path: Path
) -> None:
    sizes = ("--batch-size", "2", "--micro-batch-size", "4", "--max-steps", "2",
             "--learning-rate", "0.01", "--lr-scheduler", "constant", "--warmup", "0",
             "--max-output-tokens", "8", "--max-prompt-tokens", "1024")  # fmt: skip
    given = {**paths, "library": library_folder}
    folders = [at_start(tmp_path / "varied", VARIED), ROOT / "tests" / "support", ROOT / "kernels"]
    logs = {}
    for kernels, by in (("on", "lmmixup_kernels"), ("off", "trl")):
        options = ("--zero", "3", "--processes", "2", "--kernels", kernels, *sizes)
        done = start(command("grpo", tmp_path / kernels, given, *options), search=folders)
        assert done.returncode == 0, done.stderr
        manifest = json.loads((tmp_path / kernels / "grpo" / "manifest.json").read_text())
        assert manifest["figures"]["log_probs_by"] == by
        logs[kernels] = read_log(tmp_path / kernels / "grpo" / "log.jsonl")
    assert [entry["completions/mean_length"] for entry in logs["on"]] == [8, 8]
    assert logs["on"][0]["grad_norm"] > 0.01
    assert logs["on"][1]["kl"] > 0
    for one, other in zip(logs["on"], logs["off"], strict=True):
        assert one["reward/unscored"] == 0
        for key in ("loss", "reward", "entropy", "grad_norm", "kl"):
            assert one[key] == pytest.approx(other[key], rel=1e-3, abs=1e-6), key


def test_a_wrong_loss_in_one_process_is_one_line(paths: dict[str, Path], tmp_path: Path) -> None:
    """Weights that are no numbers: the loss is NaN, in whichever process sees it first."""
    import torch
    from safetensors.torch import load_file, save_file

    broken = Path(copytree(paths["model"], tmp_path / "broken"))
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    done = start(command("sft", tmp_path / "out", {**paths, "model": broken}, *STEPS, *TWO))
    assert done.returncode == 1
    assert "the loss of step 1 is nan; the ids of its batch are in" in done.stderr
    assert "Traceback" not in done.stderr
    said = json.loads((tmp_path / "out/.sft.partial/work/nan_batch.json").read_text())
    assert said["ids"]


def test_no_process_outlives_the_one_that_launched_it(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    if sys.platform != "linux":
        pytest.skip("processes end with their parent on Linux only")
    out = tmp_path / "out"
    long = ("--max-steps", "5000", "--epochs", "5000", "--batch-size", "4", "--save-every", "5000")
    parent = subprocess.Popen(command("sft", out, paths, *long, *TWO))
    try:
        wait_until((out / ".sft.partial/work/log.jsonl").exists)
        assert len(ranks(out)) >= 2
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not ranks(out))


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(2400):
        if is_so():
            return
        time.sleep(0.1)
    pytest.fail("nothing happened for four minutes")


def ranks(out: Path) -> list[str]:
    """Processes that were given the job of an output: the launcher's and the ranks."""
    job, found = str(out / ".sft.partial" / "work" / "job.json").encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if job in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found
