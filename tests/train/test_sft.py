"""Supervised fine-tuning in one process, through the command line."""

from __future__ import annotations

import json
import resource
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest
from training import invoke, stop_after

from lmmixup.errors import FileError, OutputExistsError, TrainError
from lmmixup.train import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

SHORT = ("--max-steps", "4", "--batch-size", "4", "--micro-batch-size", "4",
         "--learning-rate", "0.003")  # fmt: skip


def losses(log: list[dict[str, Any]]) -> list[float]:
    return [entry["loss"] for entry in log]


def test_the_finished_folder(train: Callable[..., Any], tmp_path: Path, mixture: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    log = train("sft", "out", *SHORT, "--eval-every", "2")
    assert losses(log)[-1] < losses(log)[0]
    out = tmp_path / "out" / "sft"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"]["input"] == manifest["counts"]["kept"] == 24
    assert manifest["figures"]["steps"] == 4
    assert manifest["figures"]["loss"] == pytest.approx(losses(log)[-1])
    assert "eval_loss" in manifest["figures"]
    assert manifest["inputs"][0]["sha256"] in (out / "README.md").read_text()
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
    parts = losses(train("sft", "parts", *SHORT, "--micro-batch-size", "1"))
    assert parts == pytest.approx(once, abs=2e-5)
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
