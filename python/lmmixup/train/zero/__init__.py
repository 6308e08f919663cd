"""The DeepSpeed configs that come with the package, one for each ZeRO stage and for offload."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmmixup.train.config import LaunchConfig


def zero_config(config: LaunchConfig) -> dict[str, Any] | None:
    """The DeepSpeed config of a launch.

    Args:
        config: Stage and offload.

    Returns:
        What DeepSpeed takes, with `auto` where the trainer knows better; `None` without ZeRO.

    Notes:
        `train_batch_size` is left out: DeepSpeed makes it of the others, and on CPU it would be
        compared with a world of one process before the others are there.

    Example:
        >>> from lmmixup.train import LaunchConfig
        >>> zero_config(LaunchConfig(zero=3))["zero_optimization"]["stage"]
        3
    """
    if not config.zero:
        return None
    name = f"zero{config.zero}{'_offload' if config.offload else ''}.json"
    made: dict[str, Any] = json.loads(files(__name__).joinpath(name).read_text())
    if config.cpu:
        made["zero_optimization"]["overlap_comm"] = False
        for part in ("offload_optimizer", "offload_param"):
            if part in made["zero_optimization"]:
                made["zero_optimization"][part]["pin_memory"] = False
    return made
