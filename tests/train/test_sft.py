"""Supervised fine-tuning in one process, through the command line."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from training import STEPS, command, invoke, read_log, start, stop_after

from lmmixup.errors import FileError, OutputExistsError, TrainError
from lmmixup.train import checkpoint, log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

SHORT = ("--max-steps", "4", "--batch-size", "4", "--micro-batch-size", "4",
         "--learning-rate", "0.003")  # fmt: skip


def losses(entries: list[dict[str, Any]]) -> list[float]:
    return [entry["loss"] for entry in entries if "loss" in entry]


def raises(error: Exception) -> Callable[..., None]:
    def call(*args: Any) -> None:
        raise error

    return call


def test_the_finished_folder(train: Callable[..., Any], tmp_path: Path, mixture: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    curve = losses(train("sft", "out", *SHORT, "--eval-every", "2"))
    assert curve[-1] < curve[0]
    out = tmp_path / "out" / "sft"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"]["input"] == manifest["counts"]["kept"] == 24
    assert manifest["figures"]["steps"] == 4
    assert manifest["figures"]["loss"] == pytest.approx(curve[-1])
    assert "eval_loss" in manifest["figures"]
    card = (out / "README.md").read_text()
    assert manifest["inputs"][0]["sha256"] in card
    assert f"| loss | {manifest['figures']['loss']:,.6g} |" in card
    assert '"learning_rate": 0.003' in card.partition("## Recipe")[2]
    assert manifest["figures"]["peak_memory_gb"] > 0.1
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((out / "tensorboard").iterdir())
    assert not list(out.rglob("*.bin"))  # no pickle
    assert not (tmp_path / "out" / ".sft.partial").exists()
    model = AutoModelForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.chat_template
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.config.use_cache


def test_one_curve_for_one_seed_and_for_equal_batches(train: Callable[..., Any]) -> None:
    once = losses(train("sft", "once", *SHORT))
    assert losses(train("sft", "again", *SHORT)) == once
    eight = ("--max-steps", "2", "--batch-size", "8", "--learning-rate", "0.003")
    at_once = losses(train("sft", "at_once", *eight, "--micro-batch-size", "8"))
    parts = losses(train("sft", "parts", *eight, "--micro-batch-size", "1"))
    assert parts == pytest.approx(at_once, abs=2e-5)
    assert losses(train("sft", "other", *SHORT, "--seed", "1")) != pytest.approx(once, abs=1e-3)


def test_a_stopped_training_goes_on_as_if_it_had_not(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = losses(train("sft", "whole", *SHORT, "--save-every", "2"))

    stop_after(monkeypatch, 3)
    with pytest.raises(RuntimeError, match="stopped"):
        train("sft", "out", *SHORT, "--save-every", "2")
    monkeypatch.undo()
    kept = tmp_path / "out" / ".sft.partial" / "work" / "checkpoints"
    assert checkpoint.last_whole(kept) == kept / "checkpoint-2"

    shutil.copytree(tmp_path / "out", tmp_path / "smaller")
    assert losses(train("sft", "out", *SHORT, "--save-every", "2")) == whole
    # How many samples a process takes at once is no other run.
    smaller = losses(
        train("sft", "smaller", *SHORT, "--save-every", "2", "--micro-batch-size", "2")
    )
    assert smaller == pytest.approx(whole, abs=2e-5)
    assert smaller[:2] == whole[:2]


def test_one_killed_after_its_last_update_does_none_on_top(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmmixup.train import worker

    whole = train("sft", "whole", *SHORT)
    with monkeypatch.context() as patch:
        patch.setattr(worker, "_save", raises(RuntimeError("killed")))
        with pytest.raises(FileError, match=r"model could not be saved: killed .* checkpoint-4 is"):
            train("sft", "out", *SHORT)
    assert losses(train("sft", "out", *SHORT)) == losses(whole)
    one, other = (tmp_path / name / "sft/model.safetensors" for name in ("whole", "out"))
    assert one.read_bytes() == other.read_bytes()


def test_only_the_last_checkpoints_stay(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, 4)
    with pytest.raises(RuntimeError, match="stopped"):
        train("sft", "out", *SHORT, "--save-every", "1", "--save-total-limit", "2")
    kept = tmp_path / "out" / ".sft.partial" / "work" / "checkpoints"
    assert sorted(path.name for path in kept.iterdir()) == ["checkpoint-2", "checkpoint-3"]


def test_other_settings_do_not_replace_a_run(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(monkeypatch, 3)
    with pytest.raises(RuntimeError, match="stopped"):
        train("sft", "out", *SHORT, "--save-every", "2")
    monkeypatch.undo()
    with pytest.raises(OutputExistsError, match=r"work of another run \(seed 0 there, 1 now\)"):
        train("sft", "out", *SHORT, "--save-every", "2", "--seed", "1")
    with pytest.raises(OutputExistsError, match=r"train export .*checkpoint-2 -o MODEL"):
        train("sft", "out", *SHORT, "--save-every", "2", "--zero", "2")
    assert len(train("sft", "out", *SHORT, "--seed", "1", "--overwrite")) == 4
    with pytest.raises(OutputExistsError, match="exists already"):
        train("sft", "out", *SHORT)


def test_nan_ends_it_and_names_the_batch(
    train: Callable[..., Any], tmp_path: Path, mixture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trl

    before = trl.SFTTrainer.compute_loss

    def compute_loss(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = before(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 2 else loss

    monkeypatch.setattr(trl.SFTTrainer, "compute_loss", compute_loss)
    with pytest.raises(TrainError, match="the loss of step 3 is nan"):
        train("sft", "out", *SHORT)
    said = json.loads((tmp_path / "out/.sft.partial/work/nan_batch.json").read_text())
    assert said["step"] == 3
    assert len(said["ids"]) == 4
    assert all(name.startswith("rt-") for name in said["ids"])


def test_gradients_that_are_no_numbers_end_it_before_they_are_saved(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trl

    before = trl.SFTTrainer._get_grad_norm

    def grad_norm(self: Any, *args: Any, **kwargs: Any) -> Any:
        norm = before(self, *args, **kwargs)
        return norm * float("inf") if self.state.global_step == 1 else norm

    monkeypatch.setattr(trl.SFTTrainer, "_get_grad_norm", grad_norm)
    with pytest.raises(TrainError, match="the gradient norm of step 2 is inf; the ids of its"):
        train("sft", "out", *SHORT, "--save-every", "1", "--micro-batch-size", "2")
    work = tmp_path / "out/.sft.partial/work"
    said = json.loads((work / "nan_batch.json").read_text())
    assert (said["step"], len(said["ids"])) == (2, 4)
    kept = work / "checkpoints"
    assert checkpoint.last_whole(kept) == kept / "checkpoint-1"


def test_a_full_disk_leaves_the_last_checkpoint(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmmixup.train.trainer import Guarded

    options = (*SHORT, "--save-every", "2")
    whole = losses(train("sft", "whole", *options))
    before = Guarded._save_checkpoint
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Without its signal, a file that may not grow is an error of the write, as on a full disk.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def save(self: Any, *args: Any) -> None:
        if self.state.global_step == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            before(self, *args)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(Guarded, "_save_checkpoint", save)
    try:
        with pytest.raises(FileError, match=r"checkpoint 4 could not be saved: .*checkpoint-2 is"):
            train("sft", "out", *options)
    finally:
        signal.signal(signal.SIGXFSZ, handler)
    monkeypatch.undo()
    assert losses(train("sft", "out", *options)) == whole


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system in memory, or makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    is_mounted = False

    def sized(size: str) -> Path:
        nonlocal is_mounted
        options = f"size={size}" + (",remount" if is_mounted else "")
        given = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(given, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        is_mounted = True
        return folder

    if shutil.which("mount") is None:
        pytest.skip("no file system can be mounted here: there is no `mount`")
    yield sized
    if is_mounted:
        subprocess.run(["umount", str(folder)], check=True)


def kilobytes(folder: Path, *names: str) -> float:
    """What a folder takes of a disk, or some of its files."""
    files = [folder / name for name in names] or folder.rglob("*")
    return sum(file.stat().st_blocks / 2 for file in files)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_checkpoints", "num_models", "what", "last"),
    [
        (1.6, 0, "checkpoint 5", "checkpoint-4 is whole"),
        (2, 0.6, "the trained model", "checkpoint-5 is whole"),
        (2, 1.6, "the finished model", "checkpoint-5 is whole"),
    ],
)
def test_a_disk_that_is_really_full(
    num_checkpoints: float, num_models: float, what: str, last: str, *, alone: Path,
    small_disk: Callable[[str], Path], model: Path, mixture: Path,
) -> None:  # fmt: skip
    saved = kilobytes(alone / "stopped/.sft.partial/work/checkpoints/checkpoint-2")
    made = kilobytes(alone / "whole/sft", "model.safetensors", "tokenizer.json")
    out = small_disk(f"{num_checkpoints * saved + num_models * made + 32:.0f}k") / "out"
    paths, options = {"model": model, "data": mixture}, (*STEPS, "--micro-batch-size", "4")
    given = command("sft", out, paths, *options, "--save-every", "4")
    done = start(given)
    assert done.returncode == 1
    assert f"{what} could not be saved: " in done.stderr
    assert f"{last}; hint: make room on the disk" in done.stderr
    assert "Traceback" not in done.stderr
    small_disk("30m")
    assert start(given).returncode == 0
    whole = losses(read_log(alone / "whole/sft/log.jsonl"))
    assert losses(log.read(out / "sft/log.jsonl")) == whole


def test_adapters_are_merged_or_kept(train: Callable[..., Any], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    peft = pytest.importorskip("peft")
    lora = (*SHORT, "--lora-rank", "2")
    merged = losses(train("sft", "merged", *lora))
    kept = losses(train("sft", "kept", *lora, "--no-merge-lora"))
    assert merged == kept
    out = tmp_path / "kept" / "sft"
    assert (out / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "merged" / "sft" / "adapter_model.safetensors").exists()
    one = AutoModelForCausalLM.from_pretrained(tmp_path / "merged" / "sft").state_dict()
    two = peft.AutoPeftModelForCausalLM.from_pretrained(out).merge_and_unload().state_dict()
    assert all(weight.allclose(two[name], atol=1e-6) for name, weight in one.items())


def test_json_is_the_manifest_alone(model: Path, mixture: Path, tmp_path: Path) -> None:
    result = invoke("sft", tmp_path / "o", {"model": model, "data": mixture}, *SHORT, "--json")
    assert json.loads(result.stdout)["figures"]["steps"] == 4
