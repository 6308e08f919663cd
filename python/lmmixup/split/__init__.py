"""The stage `split`: a rated pool into high, low and unrated records."""

from lmmixup.split.config import SplitConfig
from lmmixup.split.stage import run

__all__ = ["SplitConfig", "run"]
