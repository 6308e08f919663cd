"""LoRA checkpoints with the state of their optimiser: ours, and those of a Trainer of transformers.

Shapes: P trained numbers of a checkpoint.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import DataError, FileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAMES = ("exp_avg", "exp_avg_sq")
"""Torch's names of Adam's moments."""

MOMENTS, STATE = "moments.safetensors", "lmmixup.json"
"""Files of a checkpoint beside the adapter: Adam's moments, and steps and learning rate."""

GIVEN_MOMENTS = ("optimizer.pt", "optimizer.bin")
GIVEN_STATE = "trainer_state.json"
"""What a Trainer of transformers calls them."""


@dataclass(frozen=True)
class Checkpoint:
    """A LoRA adapter with what an optimiser knows of its gradients.

    Attributes:
        folder: The adapter as PEFT saves it, and the files beside it.
        rate: Mean learning rate of the steps that led to it.
    """

    folder: Path
    rate: float


@dataclass(frozen=True)
class Moments:
    """State of Adam at a checkpoint.

    Attributes:
        first_P: (P,) mean of the gradients, a tensor.
        second_P: (P,) mean of their squares, a tensor.
        num_steps: Steps that it has seen.
    """

    first_P: Any  # noqa: N815
    second_P: Any  # noqa: N815
    num_steps: int


def trained(tuned: Any) -> list[Any]:
    """The tensors that are trained, in the model's order."""
    return [tensor for tensor in tuned.parameters() if tensor.requires_grad]


def save_state(
    folder: Path, optimizer: Any, tensors: list[Any], *, steps: int, rate: float
) -> None:
    """Writes what an optimiser knows beside its adapter.

    Args:
        folder: The checkpoint.
        optimizer: Torch's AdamW.
        tensors: What it trains, in the model's order.
        steps: Steps so far.
        rate: Mean learning rate of this checkpoint's steps.
    """
    from safetensors.torch import save_file  # noqa: PLC0415
    from torch import cat  # noqa: PLC0415

    moments = {
        name: cat([optimizer.state[tensor][name].reshape(-1) for tensor in tensors]).cpu()
        for name in NAMES
    }
    save_file(moments, folder / MOMENTS)
    (folder / STATE).write_text(json.dumps({"steps": steps, "rate": rate}))


def own_checkpoint(folder: Path) -> Checkpoint:
    """A checkpoint that `save_state` finished."""
    return Checkpoint(folder, json.loads((folder / STATE).read_text())["rate"])


def own_moments(folder: Path, device: str) -> Moments:
    """Moments of a checkpoint that `save_state` finished."""
    from safetensors.torch import load_file  # noqa: PLC0415

    stored = load_file(folder / MOMENTS, device=device)
    steps = json.loads((folder / STATE).read_text())["steps"]
    first_P, second_P = (stored[name] for name in NAMES)
    return Moments(first_P, second_P, steps)


def moments_of(folder: Path, tuned: Any, device: str) -> Moments:
    """Adam's moments of a checkpoint, in the order of the trained tensors.

    Args:
        folder: The checkpoint, ours or one of a Trainer of transformers.
        tuned: The model with its adapter.
        device: Where the moments go.

    Raises:
        FileError: The checkpoint has no state of an optimiser.
        DataError: It is that of another one.
    """
    if (folder / MOMENTS).exists():
        return own_moments(folder, device)
    import torch  # noqa: PLC0415

    files = [folder / name for name in GIVEN_MOMENTS if (folder / name).exists()]
    if not files:
        raise FileError(
            f"{folder}: expected {GIVEN_MOMENTS[0]} beside the adapter, the state of Adam; train "
            "without save_only_model"
        )
    stored = torch.load(files[0], map_location=device, weights_only=True)
    numbers = [number for group in stored["param_groups"] for number in group["params"]]
    tensors = trained(tuned)
    states = [stored["state"].get(number, {}) for number in numbers]
    shapes = [tuple(state["exp_avg"].shape) if "exp_avg" in state else None for state in states]
    if shapes != [tuple(tensor.shape) for tensor in tensors]:
        raise DataError(
            f"{files[0]}: expected Adam's moments of {len(tensors)} LoRA tensors in the adapter's "
            f"shapes, got {len(shapes)} other ones"
        )
    first, second = (
        torch.cat([state[name].reshape(-1).float() for state in states]) for name in NAMES
    )
    return Moments(first, second, int(states[0]["step"]))


def given_checkpoints(folders: Sequence[Path]) -> list[Checkpoint]:
    """Checkpoints of a training, each weighted by its mean learning rate since the one before.

    Args:
        folders: Folders that a Trainer of transformers wrote, in the order of training.

    Raises:
        FileError: A folder has no log of its learning rates.
    """
    found: list[Checkpoint] = []
    before = 0
    for folder in folders:
        try:
            state = json.loads((folder / GIVEN_STATE).read_text(encoding="utf-8"))
            rates = [
                entry["learning_rate"]
                for entry in state["log_history"]
                if "learning_rate" in entry and before < entry["step"] <= state["global_step"]
            ]
            before = state["global_step"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileError(
                f"{folder / GIVEN_STATE}: expected the state of a Trainer of transformers, got "
                f"{type(error).__name__}: {error}"
            ) from None
        if not rates:
            raise FileError(
                f"{folder / GIVEN_STATE}: expected learning rates in the log up to step {before}, "
                "got none; name checkpoints in the order of training, trained with logging_steps"
            )
        found.append(Checkpoint(folder, float(np.mean(rates))))
    return found
