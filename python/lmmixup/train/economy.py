"""What makes training on a CPU cheaper and changes nothing of what is trained.

This module imports torch: only a process that trains loads it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from trl.kernels import chunked_logprob
from trl.trainer import utils as trl_head

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch


def score_targets_alone() -> None:
    """Has TRL's fused head score only the tokens that the loss is on, on a CPU too.

    Where there is no Triton, TRL 1.16 scores every position and forgets those of the prompt, so
    that the shapes stay the same for accelerators that compile. Torch on a CPU compiles nothing,
    and the head is most of a small model: with prompts of 480 tokens and outputs of 90 it is five
    times the work. What comes out is the same.
    """
    trl_head._use_triton = _compacts


def _compacts(device: torch.device) -> bool:
    has_triton: bool = chunked_logprob._use_triton(device)
    return has_triton or device.type == "cpu"


@contextlib.contextmanager
def in_bf16(model: torch.nn.Module) -> Iterator[None]:
    """Rounds the weights to bf16 for a while; then they are what they were.

    Mixed precision rounds them for every forward pass, which is once a token where outputs are
    written: on a CPU that takes twice the time of the pass itself.
    """
    kept = [(weight, weight.data) for weight in model.parameters()]
    try:
        for weight, data in kept:
            weight.data = data.bfloat16()
        yield
    finally:
        for weight, data in kept:
            weight.data = data
