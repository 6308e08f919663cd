"""How much memory a training needs in each process, said before a GPU is taken."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmmixup.train.checks import max_sequence_tokens
from lmmixup.train.config import GrpoConfig
from lmmixup.train.model import load_model_config, lora_config
from lmmixup.train.zero import zero_config

if TYPE_CHECKING:
    from lmmixup.train.config import TrainConfig

GB = 1e9
CONTEXT_GB = 1.0
"""What CUDA and its libraries take on their own; on a CPU, what Python with torch and TRL does."""

_HEAD_TOKENS, _HEAD_VOCABULARY = 4096, 32_768
"""Tile in which TRL computes log-probabilities from hidden states."""

_LAYER_BYTES = 34
"""Bytes of activations a layer keeps for each token and hidden unit, attention scores left out
(Korthikanti et al., arXiv 2205.05198, eq. 1), in 16 bits."""

_LIVE = 1_000_000_000
"""Weights that ZeRO-3 keeps gathered at once (`stage3_max_live_parameters`)."""

LAYOUTS = ((0, False), (2, False), (3, False), (2, True), (3, True))
"""ZeRO stages and offload that are compared; on a CPU those that train there."""


@dataclass(frozen=True)
class Memory:
    """Memory of one process in GB under one layout: of its GPU, or of the CPU.

    Attributes:
        zero: ZeRO stage.
        offload: Whether the optimiser (ZeRO-3: the weights too) is in main memory.
        weights: Weights, and those of the reference model; under ZeRO-3 also those that are
            gathered while they are needed.
        gradients: Gradients, and the buckets in which ZeRO-2 sends them.
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
        processes: Processes, one for each GPU.
        max_sequence_tokens: Tokens of the longest sequence.
        layouts: Memory by layout, as in `LAYOUTS`.
    """

    num_parameters: int
    num_trained: int
    processes: int
    max_sequence_tokens: int
    layouts: tuple[Memory, ...]


def plan(config: TrainConfig) -> Plan:
    """Estimates the memory of a training from the model's architecture alone.

    Args:
        config: `SftConfig` or `GrpoConfig`.

    Returns:
        GB for each layout; the real peak depends on the allocator and on attention, take a
        quarter on top.

    Raises:
        FileError: There is no such model.

    Source:
        ZeRO (arXiv 1910.02054) for the state; arXiv 2205.05198 for activations.
    """
    model_config = load_model_config(config)
    size = _Size(*_count(model_config, config))
    layouts = tuple(
        _memory(config.model_copy(update={"zero": zero, "offload": offload}), model_config, size)
        for zero, offload in LAYOUTS
        if not (config.cpu and (offload or (zero and config.precision == "bf16")))
    )
    longest = max_sequence_tokens(config)
    return Plan(size.num_parameters, size.num_trained, config.processes, longest, layouts)


@dataclass(frozen=True)
class _Size:
    num_parameters: int
    num_trained: int


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


def _memory(config: TrainConfig, model_config: Any, size: _Size) -> Memory:
    weights, gradients = _weights(config, size), _gradients(config, size)
    # Without DeepSpeed the weights themselves are fp32 and there is no copy of them.
    optimizer = (
        size.num_trained * (12 if config.zero else 8) * (_share(config) if config.zero else 1)
    )
    host = 0.0
    if config.offload:
        host, optimizer = optimizer + size.num_trained * 4 * _share(config), 0.0
    if config.offload and config.zero == 3:
        host += size.num_parameters * _bytes(config) * _copies(config) * _share(config)
    return Memory(
        config.zero, config.offload, weights / GB, gradients / GB, optimizer / GB,
        _activations(config, model_config, size) / GB, _rollout(config, model_config, size) / GB,
        host / GB,
    )  # fmt: skip


def _share(config: TrainConfig) -> float:
    return 1 / config.processes


def _bytes(config: TrainConfig) -> int:
    """Bytes of a weight and of its gradient: DeepSpeed has them in bf16, torch alone in fp32."""
    return 2 if config.zero and config.is_bf16(on_cpu=config.cpu) else 4


def _copies(config: TrainConfig) -> int:
    is_reference_apart = isinstance(config, GrpoConfig) and config.beta and not config.lora_rank
    return 2 if is_reference_apart else 1


def _weights(config: TrainConfig, size: _Size) -> float:
    whole = size.num_parameters * _bytes(config) * _copies(config)
    if config.zero != 3:
        return whole
    live = min(size.num_parameters, _LIVE) * _bytes(config) * _copies(config)
    return live + (0 if config.offload else whole * _share(config))


def _gradients(config: TrainConfig, size: _Size) -> float:
    if not config.zero:
        return size.num_trained * _bytes(config)
    kept = 0 if config.offload else size.num_trained * _bytes(config) * _share(config)
    return kept + _buckets(config, size) * _bytes(config)


def _buckets(config: TrainConfig, size: _Size) -> int:
    """Numbers in the buckets in which ZeRO-2 joins gradients before they are sent."""
    zero = (zero_config(config) or {})["zero_optimization"]
    if zero["reduce_bucket_size"] == "auto":
        return 0  # the square of the hidden size: nothing beside the rest
    # A GPU sets a bucket aside in full, of a CPU's only the pages count that are written.
    bucket = min(zero["reduce_bucket_size"], size.num_trained if config.cpu else sys.maxsize)
    return int(bucket) * (2 if zero["overlap_comm"] else 1)


def _activations(config: TrainConfig, model_config: Any, size: _Size) -> float:
    text = model_config.get_text_config()
    tokens = config.micro_batch_size * max_sequence_tokens(config)
    width = 2 if config.is_bf16(on_cpu=config.cpu) else 4
    layer = tokens * text.hidden_size * _LAYER_BYTES * width / 2
    layers = text.num_hidden_layers
    kept = layers * tokens * text.hidden_size * width + layer
    made = kept if config.activation_checkpointing else layers * layer
    if config.is_bf16(on_cpu=config.cpu) and not config.zero:
        made += size.num_parameters * 2  # weights that autocast has rounded
    return float(made + _head(config, text, tokens))


def _head(config: TrainConfig, text: Any, tokens: int) -> float:
    """A tile of logits with its gradient; the fp32 gradient of the head and of the embeddings."""
    width = 2 if config.is_bf16(on_cpu=config.cpu) else 4
    tile = min(tokens, _HEAD_TOKENS) * min(text.vocab_size, _HEAD_VOCABULARY) * (width + 4)
    is_trained = not config.lora_rank
    gradients = 2 * text.vocab_size * text.hidden_size * 4 if is_trained else 0
    return float(tile + gradients)


def _rollout(config: TrainConfig, model_config: Any, size: _Size) -> float:
    if not isinstance(config, GrpoConfig) or config.rollouts != "transformers":
        return 0.0
    text = model_config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    width = 2 if config.is_bf16(on_cpu=config.cpu) else 4
    each = text.num_hidden_layers * 2 * heads * head_dim * width
    outputs = (config.rollout_batch_size or config.batch_size) * config.num_generations
    cache = outputs / config.processes * max_sequence_tokens(config) * each
    # Under ZeRO-3 TRL gathers the whole model to write outputs.
    gathered = size.num_parameters * _bytes(config) if config.zero == 3 else 0
    return float(cache + gathered)
