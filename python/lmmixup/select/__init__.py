"""The stage `select`: the records to train on, in a stated order, at a stated ratio.

`long_tail` scores how far records are from their neighbours, the strategies in `STRATEGIES` order a
pool, and `run` writes the selected records and the files that trainers open.
"""

from lmmixup.select.config import SelectConfig
from lmmixup.select.long_tail import LongTail, long_tail
from lmmixup.select.stage import run
from lmmixup.select.strategies import STRATEGIES, Ranking

__all__ = ["STRATEGIES", "LongTail", "Ranking", "SelectConfig", "long_tail", "run"]
