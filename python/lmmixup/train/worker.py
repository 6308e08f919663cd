"""What each process of a training does: build the trainer, train, save the model.

This module imports torch: only a process that trains loads it.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import datasets
import torch
import trl
from transformers import PrinterCallback, ProgressCallback

from lmmixup.train import checkpoint
from lmmixup.train.arguments import values_of
from lmmixup.train.checks import open_rewards
from lmmixup.train.config import GrpoConfig, SftConfig
from lmmixup.train.mixture import grpo_rows, open_mixture, sft_rows
from lmmixup.train.model import be_quiet, load_model, load_tokenizer, lora_config
from lmmixup.train.trainer import (
    RowCollator,
    SftTrainer,
    Started,
    grpo_trainer_class,
    score_targets_alone,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmmixup.train.job import Job
    from lmmixup.train.mixture import Kept, Sample


def train(job: Job, show: Callable[[str], None]) -> None:
    """Trains from the last whole checkpoint, or from the start, and saves the model.

    Args:
        job: What to do.
        show: Takes lines of the table; called in the first process only.

    Raises:
        TrainError: The loss is no finite number.
        FileError: A checkpoint could not be saved.
        RewardError: More outputs could not be scored than allowed.
    """
    be_quiet()
    score_targets_alone()
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(job.work / "tensorboard")
    on_cpu = job.config.cpu or not torch.cuda.is_available()
    values = values_of(job.config, job.checkpoints, on_cpu=on_cpu)
    resumed = checkpoint.last_whole(job.checkpoints)
    trainer = _grpo(job, values) if isinstance(job.config, GrpoConfig) else _sft(job, values)
    for shown_by_us in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(shown_by_us)
    trainer.add_callback(Started(job.kind, show))
    trainer.show = show
    trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))
    _save(job, trainer)


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
        }
        (partial / "trained.json").write_text(json.dumps(state) + "\n")
        shutil.rmtree(job.final, ignore_errors=True)
        partial.rename(job.final)
    trainer.accelerator.wait_for_everyone()


def _numel(weight: Any) -> int:
    # Under ZeRO-3 a weight is empty here and knows its whole size as `ds_numel`.
    return int(getattr(weight, "ds_numel", weight.numel()))


def _sft(job: Job, values: dict[str, Any]) -> Any:
    config = job.config
    assert isinstance(config, SftConfig)  # noqa: S101
    arguments = trl.SFTConfig(**values)  # before the model: ZeRO-3 spreads it while it is read
    tokenizer = load_tokenizer(config.model_copy(update={"model": job.model}))

    def rows(samples: list[Sample]) -> Kept:
        return sft_rows(samples, tokenizer, config)

    kept, evaluated = _samples(job, rows)
    trainer = SftTrainer(
        model=load_model(job.model),
        args=arguments,
        processing_class=tokenizer,
        data_collator=RowCollator(pad_token_id=tokenizer.pad_token_id),
        train_dataset=datasets.Dataset.from_list(kept.rows),
        eval_dataset=evaluated,
        peft_config=lora_config(config),
    )
    _guard(trainer, job, kept)
    return trainer


def _grpo(job: Job, values: dict[str, Any]) -> Any:
    config = job.config
    assert isinstance(config, GrpoConfig)  # noqa: S101
    arguments = trl.GRPOConfig(**values)
    tokenizer = load_tokenizer(config.model_copy(update={"model": job.model}))

    def rows(samples: list[Sample]) -> Kept:
        return grpo_rows(samples, tokenizer, config)

    kept, evaluated = _samples(job, rows)
    trainer = grpo_trainer_class(config)(
        model=load_model(job.model),
        reward_funcs=open_rewards(config).combined,
        args=arguments,
        processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_list(kept.rows),
        eval_dataset=evaluated,
        peft_config=lora_config(config),
    )
    _guard(trainer, job, kept)
    return trainer


def _samples(
    job: Job, rows: Callable[[list[Sample]], Kept]
) -> tuple[Kept, datasets.Dataset | None]:
    mixture = open_mixture(job.data, job.kind)
    kept = rows(mixture.samples(job.config.limit))
    if job.config.eval_every is None:
        return kept, None
    return kept, datasets.Dataset.from_list(rows(mixture.validation()).rows)


def _guard(trainer: Any, job: Job, kept: Kept) -> None:
    trainer.guard(job.work, kept.ids, kind=job.kind, save_limit=job.config.save_total_limit)
