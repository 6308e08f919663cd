"""Tiles of each kernel by kind of GPU: fixed, so that a row's bits depend on nothing else.

Every entry is compiled ahead of time by `lmmixup_kernels.aot`: no spills, shared memory in bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from lmmixup_kernels.backend import interpreted


@dataclass(frozen=True)
class Tile:
    """Rows, columns and depth of a program's product, its warps and pipeline stages."""

    rows: int
    columns: int
    depth: int
    num_warps: int
    num_stages: int


LOW = {
    "score": {
        "sm_80": Tile(128, 128, 32, 8, 3),
        "sm_90": Tile(128, 128, 64, 8, 4),
        "sm_100": Tile(128, 128, 64, 8, 4),
        "gfx942": Tile(128, 128, 32, 8, 2),
    },
    "exponentials": {
        "sm_80": Tile(128, 128, 32, 8, 3),
        "sm_90": Tile(128, 128, 64, 8, 4),
        "sm_100": Tile(128, 128, 64, 8, 4),
        "gfx942": Tile(128, 128, 64, 8, 2),
    },
    "components": {
        "sm_80": Tile(128, 128, 32, 8, 3),
        "sm_90": Tile(128, 128, 64, 8, 4),
        "sm_100": Tile(128, 128, 64, 8, 4),
        "gfx942": Tile(128, 128, 32, 8, 2),
    },
    "topk": {
        "sm_80": Tile(64, 128, 32, 8, 3),
        "sm_90": Tile(64, 128, 64, 8, 3),
        "sm_100": Tile(64, 128, 64, 8, 3),
        "gfx942": Tile(64, 128, 32, 8, 2),
    },
    "topk_wide": {
        "sm_80": Tile(64, 128, 32, 8, 3),
        "sm_90": Tile(64, 128, 32, 8, 3),
        "sm_100": Tile(64, 128, 32, 8, 3),
        "gfx942": Tile(64, 128, 32, 8, 2),
    },
}
"""For bf16 and fp16, on tensor cores. `topk_wide` is for more than 32 neighbours, whose list leaves
fewer registers."""

LOW["gradients"] = LOW["exponentials"]

FULL = dict.fromkeys(LOW, Tile(64, 64, 32, 4, 2))
FULL["topk"] = FULL["topk_wide"] = Tile(64, 64, 32, 8, 2)
"""For fp32, in full precision and so without tensor cores."""

INTERPRETED = Tile(64, 128, 32, 4, 1)


def tile(kernel: str, dtype: torch.dtype, device: torch.device) -> Tile:
    """The tile for a kernel, the inputs' type and the device at hand."""
    if interpreted():
        return INTERPRETED
    return FULL[kernel] if dtype == torch.float32 else LOW[kernel][target_of(device)]


@cache
def target_of(device: torch.device) -> str:
    """`sm_80`, `sm_90`, `sm_100` or `gfx942`: the nearest kind that has tiles."""
    if torch.version.hip:
        return "gfx942"
    major, _ = torch.cuda.get_device_capability(device)
    return "sm_100" if major in (10, 11) else "sm_90" if major == 9 else "sm_80"
