"""A drop-in for TRL's `GRPOTrainer`: log-probs and entropy from `lm_head_logprobs`.

TRL is not patched. TRL 1.16 asks its models with `fused_lm_head=True` for the log-probs of policy,
old and reference passes; here the models answer by the kernel, inside their own forward, so that
DDP, PEFT, gradient checkpointing and ZeRO-3 see a forward like any other.
"""

from __future__ import annotations

import functools
import types
import warnings
from dataclasses import dataclass
from typing import Any

import torch
import trl
from torch import Tensor
from torch.nn import functional
from transformers.utils import ModelOutput

from lmmixup_kernels.backend import FallbackWarning
from lmmixup_kernels.logprobs import lm_head_logprobs

KNOWN = (1, 16)
"""The TRL whose calls this module knows."""


@dataclass
class HeadOutput(ModelOutput):  # type: ignore[misc]
    """What a model with `add_logprob_head` gives for `fused_lm_head=True`.

    Attributes:
        loss: Sum of -log_probs over the labels, over `num_items_in_batch` or their count.
        log_probs: (B, T - 1) of each next label, 0 where it is -100.
        entropy: The same shape; 0 there too.
        label_mask: (B, T - 1) bool.
    """

    loss: Tensor | None = None
    log_probs: Tensor | None = None
    entropy: Tensor | None = None
    label_mask: Tensor | None = None


def add_logprob_head(model: Any, *, temperature: float = 1.0, backend: str | None = None) -> None:
    """Lets `model(..., labels=..., fused_lm_head=True)` answer by `lm_head_logprobs`.

    Args:
        model: A causal language model of transformers, not wrapped. Its other calls stay what they
            were, generation too.
        temperature: Of the log-probs.
        backend: As `lm_head_logprobs` takes it.

    Raises:
        ValueError: The head carries an adapter of PEFT, which a look at its weight would not see.
    """
    before = model.forward
    _check_head(model)

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return before(*args, **kwargs)
        if kwargs.get("output_router_logits"):
            _say_router()
            return before(*args, fused_lm_head=True, **kwargs)
        self.num_logprob_calls += 1
        return _answer(self, args, kwargs, temperature, backend)

    model.num_logprob_calls = 0
    model.forward = types.MethodType(forward, model)


def _answer(
    model: Any, args: Any, kwargs: dict[str, Any], temperature: float, backend: str | None
) -> HeadOutput:
    labels, shifted = kwargs.pop("labels", None), kwargs.pop("shift_labels", None)
    count = kwargs.pop("num_items_in_batch", None)
    hidden = model.base_model(*args, **{**kwargs, "use_cache": False}).last_hidden_state
    width = hidden.shape[1]
    if shifted is None:
        # the last place is masked, not cut off: hidden stays in one piece and is not copied
        width, shifted = width - 1, functional.pad(labels[:, 1:], (0, 1), value=-100)
    head = model.get_output_embeddings()
    weight, bias = _whole(head.weight), _whole(getattr(head, "bias", None))
    # after autocast, before a head that is kept in fp32 or on another device
    hidden, shifted = hidden.to(weight), shifted.to(weight.device)
    mask = shifted != -100
    with torch.autocast(hidden.device.type, enabled=False):
        out = lm_head_logprobs(
            hidden, weight, shifted, mask=mask, bias=bias, need_entropy=True,
            temperature=temperature, backend=backend, **_scales(model.config),
        )  # fmt: skip
    loss = -out.logp.sum() / (mask.sum().clamp(min=1) if count is None else count)
    logp, entropy, mask = (values[:, :width] for values in (out.logp, out.entropy, mask))
    return HeadOutput(loss=loss, log_probs=logp, entropy=entropy, label_mask=mask)


def _whole(parameter: Any) -> Any:
    """A DTensor gathered, all else as it is."""
    return parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter


def _scales(config: Any) -> dict[str, Any]:
    """Cap and scale of the logits, by the names that models have for them."""
    text = config.get_text_config()
    made = {"softcap": getattr(text, "final_logit_softcapping", None) or 0.0, "logit_scale": 1.0}
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        if getattr(text, name, None) is not None:
            made["logit_scale"] = float(getattr(text, name))
            return made
    scaling = getattr(text, "logits_scaling", None)
    if scaling is not None:  # a divisor, but for one family
        made["logit_scale"] = scaling if text.model_type == "hyperclovax" else 1 / scaling
    return made


def _check_head(model: Any) -> None:
    head = model.get_output_embeddings()
    if head is None or getattr(head, "weight", None) is None:
        raise ValueError(f"{type(model).__name__} has no output embeddings with a weight")
    if hasattr(head, "lora_A") and hasattr(head, "base_layer"):
        raise ValueError(
            "the head carries a LoRA adapter, which log-probs from its weight would leave out; "
            "take lm_head out of target_modules, or train it whole by modules_to_save"
        )


@functools.cache
def _say_router() -> None:
    warnings.warn(
        "lm_head_logprobs: the balancing loss of a mixture of experts is TRL's, and so is its head",
        FallbackWarning,
        stacklevel=4,
    )


class GRPOTrainer(trl.GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer with log-probs and entropy from `lm_head_logprobs`; everything else is TRL's.

    Args:
        args: Those of `trl.GRPOTrainer`.
        logprob_backend: `triton`, `eager`, or `None` for Triton where it can run.
        kwargs: Those of `trl.GRPOTrainer`.

    Raises:
        RuntimeError: TRL asks its models in another way than this module knows.
        ValueError: A head with an adapter of PEFT.
    """

    def __init__(self, *args: Any, logprob_backend: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for model in (self.model, self.ref_model):
            if model is None:
                continue
            plain = self.accelerator.unwrap_model(model)
            plain = plain.get_base_model() if hasattr(plain, "peft_config") else plain
            add_logprob_head(plain, temperature=self.temperature, backend=logprob_backend)

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        plain = self.accelerator.unwrap_model(model)
        plain = plain.get_base_model() if hasattr(plain, "peft_config") else plain
        calls = plain.num_logprob_calls
        found = super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        if plain.num_logprob_calls == calls and not kwargs.get("compute_aux_loss"):
            raise RuntimeError(
                f"TRL {trl.__version__} did not ask the model for log-probs with "
                f"fused_lm_head=True, as {KNOWN[0]}.{KNOWN[1]} does; install that version"
            )
        return found
