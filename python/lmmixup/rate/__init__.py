"""Quality of records from 0 to 5, by the judgement of LLMs.

`run` rates a pool; `read_scores` reads one answer of a judge, and `rating_class` is the paper's
compression of 1..10 to 0..5.
"""

from lmmixup.rate.config import RateConfig
from lmmixup.rate.preview import preview
from lmmixup.rate.scores import Scores, Unrated, rating_class, read_scores
from lmmixup.rate.stage import run

__all__ = [
    "RateConfig",
    "Scores",
    "Unrated",
    "preview",
    "rating_class",
    "read_scores",
    "run",
]
