"""Instruction pools: any common file in, canonical records out, and back.

`open_pool` reads; the stage `run` writes the canonical form once, so that later stages need
not detect and convert again; `export` gives the original columns back.
"""

from lmmixup.pool.added import Widened, beside, widen
from lmmixup.pool.export import export
from lmmixup.pool.head import head
from lmmixup.pool.importing import PoolConfig, run
from lmmixup.pool.options import PoolOptions
from lmmixup.pool.reading import Pool, open_pool
from lmmixup.pool.rejects import REASONS, Reject, RejectLog
from lmmixup.pool.stats import Lengths, PoolStats, SourceStats, stats

__all__ = [
    "REASONS",
    "Lengths",
    "Pool",
    "PoolConfig",
    "PoolOptions",
    "PoolStats",
    "Reject",
    "RejectLog",
    "SourceStats",
    "Widened",
    "beside",
    "export",
    "head",
    "open_pool",
    "run",
    "stats",
    "widen",
]
