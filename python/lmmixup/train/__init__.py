"""Training of the mixer: supervised fine-tuning on the cold start, then GRPO with the rewards."""

from lmmixup.train.config import GrpoConfig, LaunchConfig, SftConfig, TrainConfig
from lmmixup.train.export import export
from lmmixup.train.mixture import MixtureFolder, open_mixture
from lmmixup.train.packed import PackedFolder, open_data
from lmmixup.train.plan import Plan, plan
from lmmixup.train.recipe import PRESETS, resolve
from lmmixup.train.stage import run

__all__ = [
    "PRESETS",
    "GrpoConfig",
    "LaunchConfig",
    "MixtureFolder",
    "PackedFolder",
    "Plan",
    "SftConfig",
    "TrainConfig",
    "export",
    "open_data",
    "open_mixture",
    "plan",
    "resolve",
    "run",
]
