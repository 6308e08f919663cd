"""Distillation: each cluster of records becomes one good record."""

from lmmixup.distill.config import DistillConfig
from lmmixup.distill.extractive import Extract, extract
from lmmixup.distill.faithfulness import Faithfulness, Unfounded, check
from lmmixup.distill.mixer import Attempt, Made, Mixed, Mixer, Refused
from lmmixup.distill.part import Part, Source
from lmmixup.distill.preview import preview
from lmmixup.distill.stage import run

__all__ = [
    "Attempt",
    "DistillConfig",
    "Extract",
    "Faithfulness",
    "Made",
    "Mixed",
    "Mixer",
    "Part",
    "Refused",
    "Source",
    "Unfounded",
    "check",
    "extract",
    "preview",
    "run",
]
