"""Which form of an op runs: Triton on a GPU, plain torch elsewhere, said once."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from typing import TYPE_CHECKING, Literal, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Function = TypeVar("Function", bound="Callable[..., object]")

Backend = Literal["triton", "eager"]

DTYPES = (torch.bfloat16, torch.float16, torch.float32)


class FallbackWarning(UserWarning):
    """An op runs in plain torch because Triton cannot take what it was given."""


def choose(op: str, tensor: torch.Tensor, asked: str | None) -> Backend:
    """Chooses the form of an op and says why when it is not Triton.

    Args:
        op: Name of the op, for the warning.
        tensor: The largest input; its device and dtype decide.
        asked: `triton`, `eager`, or `None` for Triton where it can run.

    Returns:
        What to run.

    Raises:
        ValueError: Another name, or `triton` where it cannot run.
    """
    return _choose(op, tensor.dtype, tensor.device, asked)


@torch.compiler.assume_constant_result  # nothing in here can be traced, nor needs to be
def _choose(op: str, dtype: torch.dtype, device: torch.device, asked: str | None) -> Backend:
    if asked not in (None, "triton", "eager"):
        raise ValueError(f"backend must be triton, eager or None, got {asked!r}")
    if asked == "eager":
        return "eager"
    reason = why_not_triton(dtype, device)
    if reason is None and not (asked is None and interpreted()):
        return "triton"
    if asked == "triton":
        raise ValueError(f"{op}: Triton cannot run here: {reason}; pass backend=None or 'eager'")
    say_once(op, reason or "Triton's interpreter is on, which is for tests")
    return "eager"


def why_not_triton(dtype: torch.dtype, device: torch.device) -> str | None:
    """The reason why Triton cannot take tensors of this type there; `None` if it can."""
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if dtype not in DTYPES:
        return f"dtype {dtype} is none of bfloat16, float16, float32"
    if interpreted():
        return None
    if device.type != "cuda":
        return f"the tensors are on {device.type}, not on a GPU"
    if not torch.version.hip and torch.cuda.get_device_capability(device) < (8, 0):
        return "the GPU is older than sm_80"
    return None


def on_its_device(launch: Function) -> Function:
    """Runs a launch with its first tensor's GPU as the current one, where Triton launches.

    Args:
        launch: Takes that tensor as its first argument.
    """

    @functools.wraps(launch)
    def run(tensor: torch.Tensor, *args: object, **kwargs: object) -> object:
        with torch.cuda.device_of(tensor):
            return launch(tensor, *args, **kwargs)

    return run  # type: ignore[return-value]


def interpreted() -> bool:
    """Whether kernels run in Triton's interpreter (`TRITON_INTERPRET=1`)."""
    if importlib.util.find_spec("triton") is None:
        return False
    from triton import knobs

    return bool(knobs.runtime.interpret)


@functools.cache
def say_once(op: str, reason: str) -> None:
    """Warns of a fallback, once for each op and reason in a process."""
    warnings.warn(f"{op} runs in plain torch: {reason}", FallbackWarning, stacklevel=4)


def check_same_device(named: Iterable[tuple[str, torch.Tensor | None]]) -> None:
    """Refuses tensors on several devices.

    Args:
        named: Names and tensors; the first one's device counts.

    Raises:
        ValueError: Names both tensors and devices.
    """
    there = [(name, tensor) for name, tensor in named if tensor is not None]
    first, reference = there[0]
    for name, tensor in there[1:]:
        if tensor.device != reference.device:
            raise ValueError(
                f"{name} is on {tensor.device}, {first} on {reference.device}; "
                f"move one with .to(...)"
            )
