"""Log-probs of labels by each contender: functions of (hidden, weight, targets) to logp.

A contender that is not installed, or cannot take a case, is left out with its reason.
"""

from __future__ import annotations

import importlib.util
import os
from functools import partial
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    Contender = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

BYTES_LEFT = 60 << 30
"""A contender with N x V logits is left out where they would not fit."""


def peaky(N: int, H: int, V: int, device: str, *, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """bf16 hidden states, weight and labels whose log-probs are spread from -30 to nearly 0."""
    rng = torch.Generator(device).manual_seed(seed)
    weight = torch.randn((V, H), generator=rng, device=device) / H**0.5
    targets = torch.randint(V, (N,), generator=rng, device=device)
    hidden = 3 * torch.randn((N, H), generator=rng, device=device)
    lift = torch.linspace(-8, 22, N, device=device)[:, None]
    hidden += lift * weight[targets] / weight[targets].square().sum(1, keepdim=True)
    return hidden.bfloat16(), weight.bfloat16(), targets


def eager(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    logits = (hidden @ weight.t()).float()
    return logits.gather(1, targets[:, None]).squeeze(1) - torch.logsumexp(logits, 1)


def ours(
    scheme: str | None, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, *,
    backend: str | None = None,
) -> torch.Tensor:  # fmt: skip
    from lmmixup_kernels import lm_head_logprobs

    backend = backend or ("triton" if hidden.is_cuda else "eager")
    return lm_head_logprobs(hidden, weight, targets, scheme=scheme, backend=backend).logp


def trl(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    from trl.kernels import ChunkedLogProbFunction

    return ChunkedLogProbFunction.apply(
        hidden, weight, None, targets, 1.0, 32768, None, 1.0, ("log_probs",)
    )[0]


def liger(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction

    made = LigerFusedLinearCrossEntropyFunction.apply(
        hidden, weight, targets, None, None, -100, 0.0, 0.0, "none"
    )
    return -(made[0] if isinstance(made, tuple) else made)


def cce(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    from cut_cross_entropy import linear_cross_entropy

    return -linear_cross_entropy(hidden, weight, targets, reduction="none")


def verl(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    from verl.utils.kernel.linear_cross_entropy import linear_cross_entropy

    return linear_cross_entropy(hidden, weight, targets, 1.0, "none")[0]


def unsloth(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    os.environ.setdefault("UNSLOTH_IS_PRESENT", "1")  # its kernels are asked for, not its trainer
    from unsloth_zoo.fused_losses.fused_linear import fused_linear_logprobs

    return fused_linear_logprobs(hidden, weight, targets)


def liger_grpo(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The whole loss on policy, without KL, over sequences of 1,024 tokens at most."""
    from liger_kernel.chunked_loss import LigerFusedLinearGRPOLoss

    loss = LigerFusedLinearGRPOLoss(beta=0.0, use_ref_model=False, compiled=hidden.is_cuda)
    shape = (-1, min(1024, len(targets)))
    ones = torch.ones_like(targets, dtype=torch.float32).view(shape)
    wide = hidden.view(*ones.shape, hidden.shape[1])
    return loss(wide, weight, targets.view(shape), ones, ones[:, 0])[0]


PEERS = {
    "trl": (trl, "trl", ("forward", "frozen", "full")),
    "liger": (liger, "liger_kernel", ("forward", "frozen", "full")),
    "liger_grpo": (liger_grpo, "liger_kernel", ("full",)),
    "cce": (cce, "cut_cross_entropy", ("forward", "frozen", "full")),
    "verl": (verl, "verl", ("forward", "full")),
    "unsloth": (unsloth, "unsloth_zoo", ("forward", "frozen", "full")),
}
"""Of each peer: what to call, its package, and its cases. verl always makes both gradients."""


def contenders(
    case: str, num_logits: int, device: str, *, compiled: bool
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Those that run in this case, ours first, and why others do not.

    Args:
        case: `forward`, `frozen` or `full`.
        num_logits: N V.
        device: Where.
        compiled: Whether torch.compile is one of them.
    """
    schemes = {"forward": ["score"], "frozen": ["frozen"], "full": ["stored", "recompute"]}[case]
    found: dict[str, Contender] = {f"ours {scheme}": partial(ours, scheme) for scheme in schemes}
    out: dict[str, str] = {}
    for name, (run, package, cases) in PEERS.items():
        if case not in cases:
            continue
        if importlib.util.find_spec(package) is None:
            out[name] = f"{package} is not installed"
        else:
            found[name] = run
    # bf16 and fp32 logits, and their gradients in both
    if num_logits * (6 if case == "forward" else 12) > BYTES_LEFT:
        out["torch eager"] = "N x V logits do not fit"
    else:
        found["torch eager"] = eager
        if compiled and device == "cuda":
            found["torch compile"] = torch.compile(eager)
    return found, out
