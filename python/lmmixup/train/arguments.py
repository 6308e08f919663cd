"""From our configs to TRL's."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from lmmixup.errors import ArgumentError
from lmmixup.train.config import GrpoConfig, TrainConfig
from lmmixup.train.recipe import nearest
from lmmixup.train.zero import zero_config

if TYPE_CHECKING:
    from pathlib import Path

_TRACKERS = ("tensorboard", "wandb")


def values_of(config: TrainConfig, output: Path, *, on_cpu: bool) -> dict[str, Any]:
    """Arguments of TRL's config by name.

    Args:
        config: Ours.
        output: Folder of the checkpoints.
        on_cpu: Whether there is no GPU to train on.

    Raises:
        ArgumentError: `config.trl` has an unknown name, or one that is an option of ours.
    """
    values = _shared(config, output, on_cpu=on_cpu)
    values |= _grpo(config) if isinstance(config, GrpoConfig) else _SFT
    _check_extras(config, values)
    return values | config.trl


def trl_config(config: TrainConfig, values: dict[str, Any]) -> Any:
    """TRL's config.

    Args:
        config: Ours.
        values: What `values_of` made of it.

    Raises:
        ArgumentError: TRL refuses them.
    """
    kind = _kind(config)
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        message = str(error).split("\n", maxsplit=1)[0]
        raise ArgumentError(f"TRL's {kind.__name__} refuses the settings: {message}") from error


def _kind(config: TrainConfig) -> Any:
    import trl  # noqa: PLC0415

    return trl.GRPOConfig if isinstance(config, GrpoConfig) else trl.SFTConfig


_BREAKS_RESUME = {
    "auto_find_batch_size",
    "ignore_data_skip",
    "load_best_model_at_end",
    "resume_from_checkpoint",
    "save_only_model",
}
"""Arguments under which a run that was killed could not go on as it was."""


def _check_extras(config: TrainConfig, ours: dict[str, Any]) -> None:
    kind = _kind(config)
    known = {field.name for field in dataclasses.fields(kind)}
    for name in config.trl:
        if name in _BREAKS_RESUME:
            raise ArgumentError(f"trl.{name}: a run that was killed could not go on as it was")
        if name not in known:
            raise ArgumentError(f"trl.{name}: {kind.__name__} has no such argument"
                                f"{nearest(name, known)}")  # fmt: skip
        if name in ours:
            raise ArgumentError(f"trl.{name} is set by an option of its own; see --help")


def trackers(config: TrainConfig) -> tuple[list[str], list[str]]:
    """Trackers of `report_to` that are installed, and those that are not.

    Raises:
        ArgumentError: One is unknown.
    """
    from importlib.util import find_spec  # noqa: PLC0415

    unknown = [name for name in config.report_to if name not in _TRACKERS]
    if unknown:
        raise ArgumentError(
            f"report_to: expected {' or '.join(_TRACKERS)}, got {unknown[0]!r}"
            f"{nearest(unknown[0], _TRACKERS)}"
        )
    there = [name for name in config.report_to if find_spec(name) is not None]
    return there, [name for name in config.report_to if name not in there]


_SFT: dict[str, Any] = {
    "max_length": None,
    "dataset_kwargs": {"skip_prepare_dataset": True},
    "packing": False,
}


def _shared(config: TrainConfig, output: Path, *, on_cpu: bool) -> dict[str, Any]:
    evaluated = config.eval_every is not None
    return {
        "output_dir": str(output),
        "per_device_train_batch_size": config.micro_batch_size,
        "per_device_eval_batch_size": config.micro_batch_size,
        "gradient_accumulation_steps": config.accumulation,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.lr_scheduler,
        "warmup_steps": config.warmup,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "num_train_epochs": config.epochs,
        "max_steps": config.max_steps or -1,
        "seed": config.seed,
        "data_seed": config.seed,
        "bf16": config.is_bf16(on_cpu=on_cpu),
        "activation_checkpointing": config.activation_checkpointing,
        "logging_steps": config.log_every,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": config.save_every,
        # `Guarded` removes old checkpoints itself, whole ones only after a newer one is whole.
        "save_total_limit": None,
        "eval_strategy": "steps" if evaluated else "no",
        "eval_steps": config.eval_every,
        "report_to": trackers(config)[0] or "none",
        "use_cpu": on_cpu,
        "ddp_backend": "gloo" if on_cpu and config.processes > 1 else None,
        "dataloader_pin_memory": not on_cpu,
        "disable_tqdm": True,
        "deepspeed": zero_config(config.model_copy(update={"cpu": on_cpu})),
    }


def _grpo(config: GrpoConfig) -> dict[str, Any]:
    rollout = config.rollout_batch_size or config.batch_size
    values: dict[str, Any] = {
        "max_completion_length": config.max_output_tokens,
        "num_generations": config.num_generations,
        "generation_batch_size": rollout * config.num_generations,
        "beta": config.beta,
        "epsilon": config.epsilon,
        "delta": config.delta,
        "loss_type": config.loss_type,
        "scale_rewards": config.scale_rewards,
        "temperature": config.temperature,
        "per_device_eval_batch_size": _eval_batch_size(config),
    }
    if config.rollouts != "transformers":
        values |= {"use_vllm": True, "vllm_mode": config.rollouts.removeprefix("vllm-")}
    if config.rollouts == "vllm-colocate":
        # Else vLLM makes room for the whole context of the model, beside the training.
        values["vllm_max_model_length"] = config.max_prompt_tokens + config.max_output_tokens
    return values


def _eval_batch_size(config: GrpoConfig) -> int:
    """Outputs that one process evaluates at once: TRL takes whole groups over all processes."""
    step = config.num_generations // math.gcd(config.num_generations, config.processes)
    return math.ceil(config.micro_batch_size / step) * step
