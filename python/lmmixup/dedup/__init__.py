"""The stage `dedup`: records that say the same, and which of them stay.

`families` finds them in a pool, `deduplicate` in records in memory; `run` writes the stage's
folder. With `against` set the stage instead takes out what is in another pool; with `update` it
adds to a pool that was deduped before.
"""

from lmmixup.dedup.config import DedupConfig
from lmmixup.dedup.families import families
from lmmixup.dedup.memory import Deduplicated, Duplicate, deduplicate
from lmmixup.dedup.stage import run
from lmmixup.ops import Families

__all__ = [
    "DedupConfig",
    "Deduplicated",
    "Duplicate",
    "Families",
    "deduplicate",
    "families",
    "run",
]
