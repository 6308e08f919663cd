"""Two real processes over gloo: ZeRO-2 and ZeRO-3 train as one process does, killed or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING, Any

import pytest
from training import invoke, read_log, stop_after

from lmmixup.train import checkpoint, export

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = [
    pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),
]  # fmt: skip

STEPS = ("--max-steps", "5", "--batch-size", "4", "--save-every", "2", "--learning-rate", "0.003")
TWO = ("--processes", "2", "--micro-batch-size", "2")

KERNELS = Path(__file__).resolve().parents[2] / "kernels"

KILLER = '''
"""Runs at the start of each Python: ends the named process by SIGKILL when its time has come."""
import os, signal, threading, time
if os.environ.get("RANK") == os.environ["KILL_RANK"] and os.environ.get("TORCHELASTIC_RUN_ID"):
    def watch():
        work = os.environ["KILL_WORK"]
        while True:
            log, saving = os.path.join(work, "log.jsonl"), os.path.join(work, "checkpoints/.saving")
            if os.environ["KILL_WHEN"] == "step 3":
                due = os.path.exists(log) and open(log).read().count('"loss"') >= 3
            else:
                due = os.path.exists(os.path.join(saving, "checkpoint-4"))
            if due:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.002)
    threading.Thread(target=watch, daemon=True).start()
'''


def command(kind: str, out: Path, paths: Mapping[str, Any], *options: str) -> list[str]:
    named = [part for key, value in paths.items() for part in (f"--{key}", str(value))]
    return [sys.executable, "-m", "lmmixup", "train", kind, "-o", str(out), *named, "--cpu", "-q",
            *options]  # fmt: skip


def start(given: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("deepspeed")
    env = {**os.environ, **more}
    return subprocess.run(given, env=env, text=True, capture_output=True, check=False)


@pytest.fixture(scope="module")
def paths(model: Path, mixture: Path) -> dict[str, Path]:
    return {"model": model, "data": mixture}


@pytest.fixture(scope="module")
def alone(paths: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training in one process: finished, and stopped with its second checkpoint."""
    folder = tmp_path_factory.mktemp("alone")
    assert invoke("sft", folder / "whole", paths, *STEPS, "--micro-batch-size", "4").exit_code == 0
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 3)
        invoke("sft", folder / "stopped", paths, *STEPS, "--micro-batch-size", "4")
    return folder


@pytest.mark.parametrize(
    ("zero", "killed_at"), [("2", ("1", "step 3")), ("3", ("0", "saving checkpoint 4"))]
)
def test_killed_and_started_again_it_is_one_training(
    zero: str, killed_at: tuple[str, str], alone: Path, paths: dict[str, Path], tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    out, work = tmp_path / "out", tmp_path / "out" / ".sft.partial" / "work"
    (tmp_path / "killer").mkdir()
    (tmp_path / "killer" / "sitecustomize.py").write_text(KILLER)
    given = command("sft", out, paths, *STEPS, *TWO, "--zero", zero)
    python_path = os.pathsep.join([str(tmp_path / "killer"), os.environ.get("PYTHONPATH", "")])
    killed = start(given, PYTHONPATH=python_path, KILL_RANK=killed_at[0], KILL_WHEN=killed_at[1],
                   KILL_WORK=str(work))  # fmt: skip
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

    elsewhere = copytree(tmp_path / "out", tmp_path / "elsewhere", copy_function=os.link)
    assert "torchrun --standalone --nproc-per-node 2 -m lmmixup.train" in _said(given)
    alike = command("sft", elsewhere, paths, *STEPS, "--processes", "1", "--zero", zero)
    for again, made in ((given, out), (alike, elsewhere)):
        done = start(again)
        assert done.returncode == 0, done.stderr
        one, two = read_log(alone / "whole/sft/log.jsonl"), read_log(made / "sft/log.jsonl")
        for key in ("loss", "grad_norm", "learning_rate"):
            expected = [entry[key] for entry in one]
            assert [entry[key] for entry in two] == pytest.approx(expected, abs=2e-5), key


def _said(given: list[str]) -> str:
    """What `--prepare` prints for people with a scheduler of their own."""
    at = given.index("-o") + 1
    elsewhere = [*given[:at], given[at] + "-prepared", *given[at + 1 :], "--prepare"]
    return subprocess.run(elsewhere, text=True, capture_output=True, check=True).stdout


def test_grpo_under_zero_3(paths: dict[str, Path], library_folder: Path, tmp_path: Path) -> None:
    sizes = ("--batch-size", "2", "--micro-batch-size", "4", "--max-steps", "2",
             "--max-completion-tokens", "8", "--max-prompt-tokens", "1024")  # fmt: skip
    options = ("--zero", "3", "--processes", "2", "--kernels", "on", *sizes)
    given = {**paths, "library": library_folder}
    python_path = os.pathsep.join([str(KERNELS), os.environ.get("PYTHONPATH", "")])
    done = start(command("grpo", tmp_path / "out", given, *options), PYTHONPATH=python_path)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out" / "grpo" / "manifest.json").read_text())
    assert manifest["figures"]["log_probs_by"] == "lmmixup_kernels"
    log = read_log(tmp_path / "out" / "grpo" / "log.jsonl")
    assert [entry["completions/mean_length"] for entry in log] == [8, 8]
    assert all(entry["reward/unscored"] == 0 for entry in log)


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
