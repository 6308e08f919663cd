"""What happens when a training begins.

This module imports torch: only a process that trains loads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from lmmixup.train import log

if TYPE_CHECKING:
    from collections.abc import Callable


class Started(TrainerCallback):  # type: ignore[misc]
    """Shows the table's heading when training begins."""

    def __init__(self, kind: str, show: Callable[[str], None]) -> None:
        self._kind, self._show = kind, show

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Shows it in the first process."""
        if state.is_world_process_zero:
            self._show(log.heading(self._kind))


class Mended(TrainerCallback):  # type: ignore[misc]
    """Puts right what DeepSpeed 0.19 loads of a universal checkpoint under ZeRO-3.

    It gives all groups of weights the weight decay of the first, norms too, and one counter of
    steps, which then counts an update once for each group.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """After loading, before the first step."""
        adamw = kwargs["optimizer"].optimizer.optimizer  # in accelerate's and ZeRO's
        # transformers makes two groups: with weight decay, and without.
        for group, decay in zip(adamw.param_groups, (args.weight_decay, 0.0), strict=False):
            group["weight_decay"] = decay
        for moments in adamw.state.values():
            moments["step"] = moments["step"].clone()
