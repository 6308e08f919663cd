"""How much memory a training needs on each GPU, said before one is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmmixup.train.checks import max_tokens_of
from lmmixup.train.config import GrpoConfig
from lmmixup.train.model import load_model_config, lora_config

if TYPE_CHECKING:
    from lmmixup.train.config import TrainConfig

GB = 1e9
CONTEXT_GB = 1.0
"""What CUDA and its libraries take on their own."""

_HEAD_TOKENS, _HEAD_VOCABULARY = 4096, 32_768
"""Tile in which TRL computes log-probabilities from hidden states."""

_LAYER_BYTES = 34
"""Bytes of activations a layer keeps for each token and hidden unit, attention scores left out
(Korthikanti et al., arXiv 2205.05198, eq. 1)."""

LAYOUTS = ((0, False), (2, False), (3, False), (2, True), (3, True))
"""ZeRO stages and offload that are compared."""


@dataclass(frozen=True)
class Memory:
    """Memory of one GPU in GB under one layout.

    Attributes:
        zero: ZeRO stage.
        offload: Whether the optimiser (ZeRO-3: the weights too) is in main memory.
        weights: Weights, and those of the reference model.
        gradients: Gradients.
        optimizer: Weights in fp32 and the two moments of AdamW.
        activations: Activations of a micro-batch, its log-probabilities included.
        rollout: Cache of keys and values while outputs are written.
        host: Main memory of one process, where state is offloaded.
    """

    zero: int
    offload: bool
    weights: float
    gradients: float
    optimizer: float
    activations: float
    rollout: float
    host: float

    @property
    def total(self) -> float:
        """GB at the peak: rollouts and updates take turns."""
        state = self.weights + self.gradients + self.optimizer
        return CONTEXT_GB + state + max(self.activations, self.rollout)


@dataclass(frozen=True)
class Plan:
    """Estimate for a training.

    Attributes:
        num_parameters: Weights of the model.
        num_trained: Weights that are trained.
        processes: GPUs.
        max_tokens: Tokens of the longest sequence.
        layouts: Memory by layout, as in `LAYOUTS`.
    """

    num_parameters: int
    num_trained: int
    processes: int
    max_tokens: int
    layouts: tuple[Memory, ...]


def plan(config: TrainConfig) -> Plan:
    """Estimates the memory of a training from the model's architecture alone.

    Args:
        config: `SftConfig` or `GrpoConfig`.

    Returns:
        GB for each layout; the real peak depends on the allocator and on attention, take a tenth
        on top.

    Raises:
        FileError: There is no such model.

    Source:
        ZeRO (arXiv 1910.02054) for the state; arXiv 2205.05198 for activations.
    """
    model_config = load_model_config(config)
    num_parameters, num_trained = _count(model_config, config)
    layouts = tuple(
        _memory(config, model_config, num_parameters, num_trained, zero, offload=offload)
        for zero, offload in LAYOUTS
    )
    longest = max_tokens_of(config)
    return Plan(num_parameters, num_trained, config.processes, longest, layouts)


def _count(model_config: Any, config: TrainConfig) -> tuple[int, int]:
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(model_config)
        num_parameters = sum(weight.numel() for weight in model.parameters())
        adapters = lora_config(config)
        if adapters is None:
            return num_parameters, num_parameters
        from peft import get_peft_model  # noqa: PLC0415

        adapted = get_peft_model(model, adapters)
    return num_parameters, sum(w.numel() for w in adapted.parameters() if w.requires_grad)


def _memory(
    config: TrainConfig,
    model_config: Any,
    num_parameters: int,
    num_trained: int,
    zero: int,
    *,
    offload: bool,
) -> Memory:
    share = 1 / config.processes
    # Without DeepSpeed, weights and gradients are fp32 and the fp32 copy is the weight itself.
    size, moments = (2, 12) if zero else (4, 8)
    is_reference_apart = isinstance(config, GrpoConfig) and config.beta and not config.lora_rank
    copies = 2 if is_reference_apart else 1
    weights = num_parameters * size * copies * (share if zero == 3 else 1)
    gradients = num_trained * size * (share if zero else 1)
    optimizer = num_trained * moments * (share if zero else 1)
    host = 0.0
    if offload:
        host, optimizer = optimizer, 0.0
        if zero == 3:
            host, weights = host + weights, 0.0
    return Memory(
        zero, offload, weights / GB, gradients / GB, optimizer / GB,
        _activations(config, model_config) / GB, _rollout(config, model_config) / GB, host / GB,
    )  # fmt: skip


def _activations(config: TrainConfig, model_config: Any) -> float:
    text = model_config.get_text_config()
    tokens = config.micro_batch_size * max_tokens_of(config)
    layer = tokens * text.hidden_size * _LAYER_BYTES
    layers = text.num_hidden_layers
    kept = layers * tokens * text.hidden_size * 2 + layer
    head = min(tokens, _HEAD_TOKENS) * min(text.vocab_size, _HEAD_VOCABULARY) * 6
    return float((kept if config.activation_checkpointing else layers * layer) + head)


def _rollout(config: TrainConfig, model_config: Any) -> float:
    if not isinstance(config, GrpoConfig) or config.rollouts != "transformers":
        return 0.0
    text = model_config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    each = text.num_hidden_layers * 2 * heads * width * 2
    outputs = (config.rollout_batch_size or config.batch_size) * config.num_generations
    return float(outputs / config.processes * max_tokens_of(config) * each)
