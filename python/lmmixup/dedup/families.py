"""The heart of `dedup`: a pool in, families out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmmixup import ops
from lmmixup.dedup.config import DedupConfig
from lmmixup.dedup.order import Order
from lmmixup.dedup.semantic import semantic_families
from lmmixup.ops.families import Feed
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from lmmixup.records import Records

TEXT_COLUMNS = ("id", "prompt", "completion")


def families(
    pool: Records,
    config: DedupConfig | None = None,
    *,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
    num_frozen: int = 0,
    earlier: npt.NDArray[np.int64] | None = None,
) -> ops.Families:
    """Finds the families of a pool and decides which records stay.

    Args:
        pool: From `open_pool`; read once, for `semantic` as often as its embedder needs.
        config: How; the defaults find every pair of records at Jaccard >= 0.7 over word
            5-grams.
        num_threads: Threads; 0 takes all cores.
        reporter: Where progress goes.
        num_frozen: So many records at the start stay in any case.
        earlier: (N,) int64; records with the same number >= 0 are one family from the start.

    Returns:
        Arrays with one entry a record, in the pool's order.

    Raises:
        ArgumentError: The rating column is not there or holds no numbers.
        DataError: A record cannot be read and the pool is strict, or vectors do not fit it.

    Notes:
        The partition into families does not depend on the order of the records, nor on
        threads. In the order of rating, preferred source, length or position, and a hash, a
        record of a family stays unless one that stays already is at the threshold; a dropped
        record names the first such one.

    Source:
        Ours.

    Example:
        >>> import pyarrow as pa
        >>> from lmmixup.pool import open_pool
        >>> pool = open_pool(pa.table({"prompt": ["a b", "A  b"], "completion": ["c", "c"]}))
        >>> families(pool).num_families
        1
    """
    config = config or DedupConfig()
    needs_schema = config.rating is not None
    order = Order(config, pool.schema if needs_schema else _no_schema())
    columns = list(dict.fromkeys([*TEXT_COLUMNS, *order.columns]))
    watched = order.watch(pool.batches(columns, num_threads=num_threads, reporter=reporter))
    rule = ops.KeepRule(
        priority=order.priority if order.columns else None,
        longest=config.prefer == "longest",
        one=config.keep == "one",
        num_frozen=num_frozen,
    )
    if config.method == "semantic":
        return semantic_families(
            pool,
            watched,
            config,
            rule=rule,
            earlier=earlier,
            num_threads=num_threads,
            reporter=reporter,
        )
    # Only where Python looks at columns too do batches have to come this way.
    records = pool if isinstance(pool, Feed) and not order.columns else watched
    if config.method == "exact":
        return ops.exact_families(
            records,
            normalize=config.normalize,
            rule=rule,
            num_threads=num_threads,
            on_progress=reporter,
        )
    if config.method == "minhash":
        return ops.minhash_families(
            records,
            threshold=config.threshold,
            shingle=config.shingle,
            shingle_size=config.shingle_size,
            normalize=config.normalize,
            num_perm=config.num_perm,
            bands_and_rows=(config.bands, config.rows) if config.bands and config.rows else None,
            verify=config.verify,
            seed=config.seed,
            rule=rule,
            earlier=earlier,
            num_threads=num_threads,
            on_progress=reporter,
        )
    return ops.near_families(
        records,
        threshold=config.threshold,
        shingle=config.shingle,
        shingle_size=config.shingle_size,
        normalize=config.normalize,
        rule=rule,
        earlier=earlier,
        num_threads=num_threads,
        on_progress=reporter,
    )


def _no_schema() -> pa.Schema:
    # Asking a pool of text files for its schema reads them once more.
    import pyarrow as pa  # noqa: PLC0415

    return pa.schema([])
