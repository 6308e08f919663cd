"""What each process of a training does: build the trainer, train, save the model.

This module imports torch: only a process that trains loads it.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PrinterCallback, ProgressCallback

from lmmixup.train import checkpoint
from lmmixup.train.apart import Apart
from lmmixup.train.arguments import trackers, trl_config, values_of
from lmmixup.train.callbacks import Mended, Started
from lmmixup.train.checks import open_rewards
from lmmixup.train.config import GrpoConfig, SftConfig
from lmmixup.train.economy import score_targets_alone
from lmmixup.train.model import be_quiet, load_model, load_tokenizer, lora_config
from lmmixup.train.packed import PackedRows, open_data
from lmmixup.train.plan import CONTEXT_GB, GB
from lmmixup.train.trainer import RowCollator, SftTrainer, grpo_trainer_class
from lmmixup.train.universal import is_universal, resume_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmmixup.train.job import Job
    from lmmixup.train.rows import Kept


def train(job: Job, show: Callable[[str], None]) -> None:
    """Trains from the last whole checkpoint, or from the start, and saves the model.

    Args:
        job: What to do.
        show: Takes lines of the table; called in the first process only.

    Raises:
        TrainError: The loss is no finite number.
        FileError: A checkpoint or the model could not be saved.
        RewardError: More outputs could not be scored than allowed.
    """
    be_quiet()
    score_targets_alone()
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(job.work / "tensorboard")
    on_cpu = job.config.cpu or not torch.cuda.is_available()
    values = values_of(job.config, job.checkpoints, on_cpu=on_cpu)
    resumed = resume_from(job)
    if is_universal(job, resumed):
        values["deepspeed"]["checkpoint"] = {"load_universal": True}
    trainer = _grpo(job, values) if isinstance(job.config, GrpoConfig) else _sft(job, values)
    for shown_by_us in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(shown_by_us)
    trainer.add_callback(Started(job.kind, show))
    if is_universal(job, resumed) and job.config.zero == 3:
        trainer.add_callback(Mended())
    trainer.show = show
    trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))
    with checkpoint.saving("the trained model", job.checkpoints):
        _save(job, trainer)
    if "wandb" in trackers(job.config)[0]:
        import wandb  # noqa: PLC0415

        wandb.finish()  # a process that ends without tidying up would leave its run open


def _save(job: Job, trainer: Any) -> None:
    """Saves the model as the trainer does, whole or not at all."""
    partial = job.final.with_suffix(".partial")
    trainer.save_model(str(partial))
    trainer.accelerator.wait_for_everyone()
    if trainer.args.should_save:
        state = {
            "steps": trainer.state.global_step,
            "epochs": trainer.state.epoch,
            "log_probs_by": trainer.log_probs_by,
            "parameters": sum(_numel(weight) for weight in trainer.model.parameters()),
            "peak_memory_gb": _peak_memory_gb(trainer.accelerator.device),
        }
        (partial / "trained.json").write_text(json.dumps(state) + "\n")
        shutil.rmtree(job.final, ignore_errors=True)
        partial.rename(job.final)
    trainer.accelerator.wait_for_everyone()


def _peak_memory_gb(device: torch.device) -> float | None:
    """The most memory that this process held so far; on a GPU that of torch, as `plan` has it."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device) / GB + CONTEXT_GB)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # not Linux
        return None
    return next(int(line.split()[1]) * 1024 / GB for line in lines if line.startswith("VmHWM"))


def _numel(weight: Any) -> int:
    # Under ZeRO-3 a weight is empty here and knows its whole size as `ds_numel`.
    return int(getattr(weight, "ds_numel", weight.numel()))


def _sft(job: Job, values: dict[str, Any]) -> Any:
    config = job.config
    assert isinstance(config, SftConfig)  # noqa: S101
    arguments = trl_config(config, values)  # before the model: ZeRO-3 spreads it while it is read
    tokenizer = load_tokenizer(config.model_copy(update={"model": job.model}))
    kept, evaluated = _rows(job, tokenizer)
    is_packed = isinstance(kept, PackedRows)
    collate = RowCollator(pad_token_id=tokenizer.pad_token_id, padding_free=is_packed)
    trainer = SftTrainer(
        model=load_model(job.model),
        args=arguments,
        processing_class=tokenizer,
        data_collator=collate,
        train_dataset=kept.dataset(),
        eval_dataset=evaluated,
        peft_config=lora_config(config),
    )
    if is_packed:
        trainer.add_callback(Apart(collate, config.model))
    _guard(trainer, job, kept)
    return trainer


def _grpo(job: Job, values: dict[str, Any]) -> Any:
    config = job.config
    assert isinstance(config, GrpoConfig)  # noqa: S101
    arguments = trl_config(config, values)
    tokenizer = load_tokenizer(config.model_copy(update={"model": job.model}))
    kept, evaluated = _rows(job, tokenizer)
    trainer = grpo_trainer_class(config)(
        model=load_model(job.model),
        reward_funcs=open_rewards(config).combined,
        args=arguments,
        processing_class=tokenizer,
        train_dataset=kept.dataset(),
        eval_dataset=evaluated,
        peft_config=lora_config(config),
    )
    _guard(trainer, job, kept)
    return trainer


def _rows(job: Job, tokenizer: Any) -> tuple[Kept, Any]:
    """What to train on, and the data set to evaluate on, if any."""
    data = open_data(job.data, job.kind)
    kept = data.kept(tokenizer, job.config)
    if job.config.eval_every is None:
        return kept, None
    return kept, data.validation(tokenizer, job.config).dataset()


def _guard(trainer: Any, job: Job, kept: Kept) -> None:
    trainer.guard(job.work, kept.ids, kind=job.kind, save_limit=job.config.save_total_limit)
