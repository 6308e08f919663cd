"""What must be true before anything expensive starts; each failure is one clear line."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lmmixup.errors import ArgumentError, LmmixupError, RewardError
from lmmixup.rewards import RewardConfig, Rewards
from lmmixup.train.arguments import trackers, values_of
from lmmixup.train.config import GrpoConfig, SftConfig, TrainConfig
from lmmixup.train.mixture import MixtureFolder
from lmmixup.train.model import (
    check_context,
    check_vocabulary,
    load_model_config,
    load_tokenizer,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmmixup.progress import Reporter
    from lmmixup.train.mixture import Sample
    from lmmixup.train.packed import Data
    from lmmixup.train.rows import Kept

_PACKAGES = ("accelerate", "datasets", "torch", "transformers", "trl")
_NUM_PROBES = 8


def check(data: Data, config: TrainConfig, reporter: Reporter, *, is_here: bool) -> Kept:
    """Looks at everything that a training rests on, without loading weights.

    Args:
        data: What to train on.
        config: What to do.
        reporter: Where sentences go that a person should read.
        is_here: Whether it would train on this machine.

    Returns:
        The rows that would be trained on.

    Raises:
        LmmixupError: What is wrong, what was expected, and a hint.
    """
    check_packages(config)
    if is_here:
        check_devices(config)
    _check_trackers(config, reporter)
    values_of(config, Path(), on_cpu=True)
    tokenizer = load_tokenizer(config)
    kept = data.kept(tokenizer, config)
    longest = kept.longest
    if isinstance(config, GrpoConfig):
        longest += config.max_output_tokens
    model_config = load_model_config(config)
    check_vocabulary(model_config, tokenizer, config.model)
    check_context(model_config, longest, config.model)
    if config.eval_every is not None:
        data.validation(tokenizer, config)
    if isinstance(config, GrpoConfig):
        assert isinstance(data, MixtureFolder)  # noqa: S101
        check_rewards(data.samples(config.limit), config)
    _check_enough(kept, config)
    return kept


def max_sequence_tokens(config: TrainConfig) -> int:
    """The most tokens that a sequence may have."""
    if isinstance(config, GrpoConfig):
        return config.max_prompt_tokens + config.max_output_tokens
    assert isinstance(config, SftConfig)  # noqa: S101
    return config.max_sequence_tokens


def check_packages(config: TrainConfig) -> None:
    """Raises `ArgumentError` where a package is missing that the training needs."""
    needed = list(_PACKAGES)
    needed += ["deepspeed"] if config.zero else []
    needed += ["peft"] if config.lora_rank else []
    needed += ["gguf"] if config.model.endswith(".gguf") else []
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ArgumentError(
            f"training needs {', '.join(missing)}; hint: pip install 'lmmixup[train]'"
        )
    if not isinstance(config, GrpoConfig):
        return
    if config.rollouts != "transformers" and find_spec("vllm") is None:
        raise ArgumentError(
            f"--rollouts {config.rollouts} needs vllm; hint: pip install 'lmmixup[vllm]'"
        )
    if config.kernels == "on" and find_spec("lmmixup_kernels") is None:
        raise ArgumentError("--kernels on needs the package lmmixup-kernels; hint: --kernels auto")


def check_devices(config: TrainConfig) -> None:
    """Raises `ArgumentError` where more GPUs are asked for than there are."""
    import torch  # noqa: PLC0415

    if config.cpu:
        return
    there = torch.cuda.device_count()
    if config.processes > max(there, 1):
        raise ArgumentError(
            f"{config.processes} processes need a GPU each, this machine has {there}; hint: "
            "--processes N --cpu trains on the CPU"
        )
    if config.zero and not there:
        raise ArgumentError("there is no GPU; hint: --cpu trains by ZeRO on the CPU, for tests")


def open_rewards(config: GrpoConfig) -> Rewards:
    """The rewards of a config; the cores are shared by the processes.

    Raises:
        LmmixupError: No library is named, or it cannot be used.
    """
    own = {name: getattr(config, name) for name in RewardConfig.model_fields}
    num_threads = max(1, (os.cpu_count() or 1) // config.processes)
    return Rewards(RewardConfig(**own), num_threads=num_threads)


def check_rewards(samples: Sequence[Sample], config: GrpoConfig) -> None:
    """Scores some of the data's own targets, of each task type, as outputs would be.

    Raises:
        LmmixupError: A task type has no library, or a reward fails.
    """
    rewards = open_rewards(config)
    by_type: dict[str, list[Sample]] = {}
    for sample in samples:
        by_type.setdefault(sample.record["task_type"], []).append(sample)
    without = sorted(kind for kind in by_type if rewards.library_of(kind) is None)
    if without:
        raise ArgumentError(
            f"{config.library}: has no library for the task type{'s' * (len(without) > 1)} "
            f"{', '.join(without)} of the data; hint: `lmmixup library build` makes one, and one "
            "named `default` serves all others"
        )
    probes = [sample for some in by_type.values() for sample in some[:_NUM_PROBES]]
    targets = [sample.target for sample in probes]
    columns = {
        "task_type": [sample.record["task_type"] for sample in probes],
        config.reference_column: targets,
    }
    try:
        scored = rewards.combined(targets, **columns)  # type: ignore[arg-type]
    except LmmixupError as error:
        raise RewardError(f"the rewards fail on the data's own targets: {error}") from None
    failed = sum(reward is None for reward in scored)
    if failed:
        raise RewardError(
            f"the rewards cannot score {failed} of {len(scored)} of the data's own targets"
        )


def _check_trackers(config: TrainConfig, reporter: Reporter) -> None:
    for name in trackers(config)[1]:
        reporter.note(f"{name} is not installed: nothing is reported to it")


def _check_enough(kept: Kept, config: TrainConfig) -> None:
    needed = config.batch_size
    if isinstance(config, GrpoConfig):
        needed = config.rollout_batch_size or config.batch_size
    if len(kept.rows) < needed:
        raise ArgumentError(
            f"{len(kept.rows):,} samples do not fill one batch of {needed:,}; hint: --batch-size"
        )
