"""What the stage `train` can be told, for both of its trainings."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from lmmixup.rewards.config import RewardConfig
from lmmixup.stage import StageConfig


class LaunchConfig(StageConfig):
    """On what a training runs, and how its state is spread."""

    processes: int = Field(default=1, ge=1)
    """Processes, one for each GPU."""

    cpu: bool = False
    """Train on the CPU even where there are GPUs; several processes talk over gloo."""

    zero: Literal[0, 2, 3] = 0
    """DeepSpeed ZeRO: `2` spreads gradients and optimiser over the processes, `3` the weights too;
    `0` keeps all of it on each."""

    offload: bool = False
    """Keep the optimiser (ZeRO-3: the weights too) in main memory."""

    @field_validator("zero", mode="before")
    @classmethod
    def _from_option(cls, value: Any) -> Any:
        # The choices of an option are texts.
        return int(value) if isinstance(value, str) and value.isdigit() else value


class TrainConfig(LaunchConfig):
    """What both trainings share. Names of TRL mean the same here."""

    aside: ClassVar[frozenset[str]] = frozenset({"processes", "micro_batch_size"})

    model: str = ""
    """Model to start from: a folder of transformers, a .gguf file, or a name on the Hub."""

    limit: int | None = Field(default=None, ge=1)
    """Train on the first samples only, so many."""

    too_long: Literal["drop", "refuse"] = "drop"
    """Of a sample above the token limits: `drop` leaves it out, counted, in `dropped.parquet`;
    `refuse` ends before training. Nothing is ever cut."""

    learning_rate: float = Field(default=2e-5, gt=0)
    """Peak of the learning rate."""

    lr_scheduler: Literal["constant", "constant_with_warmup", "cosine", "linear"] = "cosine"
    """How it falls after the warm-up."""

    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of all steps over which it rises from 0."""

    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay of AdamW."""

    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradients are clipped to this norm."""

    epochs: float = Field(default=1.0, gt=0)
    """Passes over the samples."""

    max_steps: int | None = Field(default=None, ge=1)
    """Updates after which to stop, whatever `epochs` says."""

    batch_size: int = Field(default=16, ge=1)
    """Samples an update, over all processes. In GRPO: prompts, each with `num_generations`
    outputs."""

    micro_batch_size: int = Field(default=1, ge=1)
    """Sequences that one process takes at once; what is missing to `batch_size` is accumulated."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the order of samples and of sampling."""

    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """`bf16` is mixed precision with weights in fp32; `auto` takes it on a GPU, fp32 on a CPU."""

    activation_checkpointing: bool = True
    """Compute activations again in the backward pass instead of keeping them."""

    lora_rank: int = Field(default=0, ge=0)
    """Rank of LoRA adapters; `0` trains all weights."""

    lora_alpha: float = Field(default=16.0, gt=0)
    """Scale of the adapters."""

    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the adapters."""

    lora_targets: tuple[str, ...] = ("all-linear",)
    """Modules that get adapters; `all-linear` takes all linear ones but the head."""

    merge_lora: bool = True
    """Write a whole model with the adapters merged in, not the adapters."""

    pad_token: str | None = None
    """Token that fills short sequences, for a tokenizer that names none."""

    log_every: int = Field(default=1, ge=1)
    """Updates between two lines of the log."""

    save_every: int = Field(default=100, ge=1)
    """Updates between two checkpoints."""

    save_total_limit: int = Field(default=2, ge=1)
    """Checkpoints to keep, the last ones."""

    eval_every: int | None = Field(default=None, ge=1)
    """Updates between two evaluations on the validation samples; none without it."""

    report_to: tuple[str, ...] = ("tensorboard",)
    """Trackers beside our own log: `tensorboard`, `wandb`; one that is not installed is said and
    left out."""

    trl: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of TRL's own config, by their names, such as `adam_beta2=0.95`."""

    @property
    def sequences(self) -> int:
        """Sequences an update."""
        return self.batch_size

    @property
    def accumulation(self) -> int:
        """Forward passes of one process an update."""
        return self.sequences // (self.micro_batch_size * self.processes)

    def is_bf16(self, *, on_cpu: bool) -> bool:
        """Whether it computes in bf16."""
        return self.precision == "bf16" or (self.precision == "auto" and not on_cpu)

    @model_validator(mode="after")
    def _check_launch(self) -> Self:
        each = self.micro_batch_size * self.processes
        if self.sequences % each:
            raise ValueError(
                f"an update takes {self.sequences} sequences, which is no multiple of "
                f"micro_batch_size * processes = {each}; hint: --batch-size or --micro-batch-size"
            )
        if self.offload and not self.zero:
            raise ValueError("offload needs ZeRO; hint: --zero 2 or --zero 3")
        if self.zero and self.cpu and self.precision == "bf16":
            raise ValueError(
                "ZeRO on a CPU trains in fp32 only, got precision bf16; hint: --precision fp32"
            )
        if self.zero == 3 and self.lora_rank and self.offload:
            raise ValueError(
                "LoRA under ZeRO-3 with offload is not supported: frozen weights would be moved "
                "at every step; hint: --zero 2, or leave --offload out"
            )
        if self.lora_rank and "lm_head" in self.lora_targets:
            raise ValueError(
                "lora_targets has lm_head, whose adapter TRL would never train; hint: leave it out"
            )
        return self


class SftConfig(TrainConfig):
    """Supervised fine-tuning on the cold-start part; the loss is on the output alone."""

    max_sequence_tokens: int = Field(default=2400, ge=2)
    """Tokens of a sample, prompt and output together."""


class GrpoConfig(TrainConfig, RewardConfig):
    """GRPO on the RL part, with the rewards of `lmmixup.rewards`."""

    learning_rate: float = Field(default=1e-6, gt=0)
    """Peak of the learning rate."""

    max_prompt_tokens: int = Field(default=2400, ge=1)
    """Tokens of a prompt, contract included."""

    max_output_tokens: int = Field(default=2400, ge=1)
    """Tokens of an output; one that reaches them is cut there."""

    num_generations: int = Field(default=4, ge=2)
    """Outputs to each prompt: the group."""

    rollout_batch_size: int | None = Field(default=None, ge=1)
    """Prompts for which outputs are written at once, before as many updates as they fill; without
    it those of one update."""

    beta: float = Field(default=0.01, ge=0)
    """Weight of the KL to the model that training began with (k3 estimator)."""

    epsilon: float = Field(default=0.2, gt=0)
    """Clip range of the probability ratio."""

    delta: float | None = Field(default=3.0, gt=1)
    """Dual clip: the ratio counts at most so much where the advantage is negative."""

    loss_type: Literal["grpo", "dapo", "bnpo", "dr_grpo"] = "grpo"
    """How the loss is averaged: `grpo` by output, then over outputs; others as in TRL."""

    scale_rewards: Literal["group", "batch", "none"] = "group"
    """By whose standard deviation advantages are divided."""

    temperature: float = Field(default=1.0, gt=0)
    """Temperature of the rollouts."""

    rollouts: Literal["transformers", "vllm-server", "vllm-colocate"] = "transformers"
    """Who writes outputs: the training processes themselves, or vLLM."""

    kernels: Literal["auto", "on", "off"] = "auto"
    """Log-probabilities by the kernels of `lmmixup-kernels`; `auto` takes them where there are a
    GPU and the package. `on` without a GPU takes their form in plain torch. The manifest says
    which were taken."""

    @property
    def sequences(self) -> int:
        """Sequences an update: outputs."""
        return self.batch_size * self.num_generations

    @property
    def updates_per_rollout(self) -> int:
        """Updates for which one round of outputs serves."""
        rounds = (self.rollout_batch_size or self.batch_size) // self.batch_size
        return rounds * int(self.trl.get("num_iterations", 1))

    @model_validator(mode="after")
    def _check_rollouts(self) -> Self:
        rollout = self.rollout_batch_size or self.batch_size
        if rollout % self.batch_size:
            raise ValueError(
                f"rollout_batch_size must be a multiple of batch_size ({self.batch_size}), "
                f"got {rollout}"
            )
        if self.save_every % self.updates_per_rollout:
            raise ValueError(
                "save_every must be a multiple of rollout_batch_size / batch_size * "
                f"trl.num_iterations = {self.updates_per_rollout}, got {self.save_every}: a "
                "checkpoint inside a round of outputs could not go on as it was"
            )
        if self.rollouts != "transformers" and self.cpu:
            raise ValueError(f"rollouts {self.rollouts} need a GPU, but cpu is set")
        return self


CONFIGS: dict[str, type[TrainConfig]] = {"sft": SftConfig, "grpo": GrpoConfig}
"""Config class by kind of training."""
