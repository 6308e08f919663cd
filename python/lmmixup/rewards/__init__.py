"""Rewards of a mixer's outputs: quality, alignment, format, and the one that joins them."""

from lmmixup.rewards.advantages import Advantages, group_advantages
from lmmixup.rewards.alignment import Calibration, calibrate_alignment, known_threshold
from lmmixup.rewards.audit import Audit, audit
from lmmixup.rewards.config import RewardConfig
from lmmixup.rewards.form import format_reward
from lmmixup.rewards.mapping import MAPPINGS, map_scores
from lmmixup.rewards.rewards import WEIGHTS, Rewards

__all__ = [
    "MAPPINGS",
    "WEIGHTS",
    "Advantages",
    "Audit",
    "Calibration",
    "RewardConfig",
    "Rewards",
    "audit",
    "calibrate_alignment",
    "format_reward",
    "group_advantages",
    "known_threshold",
    "map_scores",
]
