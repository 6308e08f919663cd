"""Whether a model keeps the samples of a packed row apart, tried before the first step.

Attention that crosses samples makes no error, only a worse model: which implementations of
which models heed positions that begin anew is not known beforehand.

This module imports torch: only a process that trains loads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from lmmixup.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH = 8
"""Tokens of each of the two samples that are tried."""

_TOLERANCE = 1e-3
"""Of the largest logit; where attention crosses, the difference is hundreds of times as large."""


class Apart(TrainerCallback):  # type: ignore[misc]
    """Ends a training on packed rows in which samples would see one another.

    Args:
        collate: Makes batches of packed rows.
        name: The model, for the message.
    """

    def __init__(
        self, collate: Callable[[list[dict[str, Any]]], dict[str, Any]], name: str
    ) -> None:
        self._collate, self._name = collate, name

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Tries it, in every process: under ZeRO-3 they run a model together.

        Raises:
            DataError: What a sample is given depends on the one before it.
        """
        with torch.autocast(args.device.type, torch.bfloat16, enabled=args.bf16):
            difference = crossing(kwargs["model"], self._collate)
        if difference > _TOLERANCE:
            raise DataError(
                f"{self._name}: with its attention, samples of a packed row see one another; hint: "
                "`lmmixup tokenize --packing none` writes one sample a row"
            )


def crossing(model: Any, collate: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> float:
    """How much the logits of a sample change with the one that is packed before it.

    Args:
        model: A causal language model of transformers.
        collate: Makes batches of packed rows.

    Returns:
        The largest change over the largest logit; 0 where samples are apart.
    """
    was_training = model.training
    model.eval()
    second = range(2 * _LENGTH, 3 * _LENGTH)
    with torch.no_grad():
        one, other = (
            _logits_of_second(model, collate, [*first, *second])
            for first in (range(_LENGTH), range(_LENGTH, 2 * _LENGTH))
        )
    model.train(was_training)
    return float((one - other).abs().max() / one.abs().max())


def _logits_of_second(
    model: Any, collate: Callable[[list[dict[str, Any]]], dict[str, Any]], ids: list[int]
) -> torch.Tensor:
    row = {"input_ids": ids, "labels": ids, "seq_lengths": [_LENGTH, _LENGTH], "row": 0}
    batch = collate([row])
    given = {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
        if name not in {"labels", "row"}
    }
    logits: torch.Tensor = model(**given, use_cache=False).logits[0, _LENGTH:]
    return logits.float()
