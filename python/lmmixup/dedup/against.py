"""`--against`: what another pool, such as an evaluation set, has in common with this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lmmixup import ops
from lmmixup.dedup.joined import Joined
from lmmixup.dedup.semantic import embedding_figures, nearest
from lmmixup.embed import embed_pool
from lmmixup.progress import Renamed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt
    from pydantic import BaseModel

    from lmmixup.dedup.config import DedupConfig
    from lmmixup.inputs import InputFile, Reject
    from lmmixup.pool import Pool
    from lmmixup.stage import StageRun

IN_OTHER = "in the other pool"

TEXT_COLUMNS = ("id", "prompt", "completion")

FOUND = [
    pa.field("id", pa.string(), nullable=False),
    pa.field("found", pa.bool_(), nullable=False),
]
AGAINST_SCHEMA = pa.schema(
    [
        *FOUND,
        pa.field("container", pa.string()),
        pa.field("containment", pa.float64(), nullable=False),
        pa.field("nearest", pa.string()),
        pa.field("jaccard", pa.float64(), nullable=False),
    ]
)
"""Columns of `against.parquet`: every record of the other pool, whether it was found, the
record of this pool that has most of its shingles and their share, and the most similar one."""

SEMANTIC_SCHEMA = pa.schema(
    [*FOUND, pa.field("nearest", pa.string()), pa.field("cosine", pa.float64(), nullable=False)]
)
"""The same for `semantic`: the record of this pool with the highest cosine."""


@dataclass(frozen=True)
class Matched:
    """What of two pools matches.

    Attributes:
        ids: (N,) ids of the pool that is cleaned.
        hit: (N,) bool, which of its records match.
        partner: (N,) ids of the other pool's records that they match best.
        details: (H,) a sentence for each match.
        against: `against.parquet`: the other pool's records.
        figures: What the manifest says of vectors; nothing for shingles.
    """

    ids: pa.Array
    hit: npt.NDArray[np.bool_]
    partner: pa.Array
    details: list[str]
    against: pa.RecordBatch
    figures: dict[str, object]


class Compared:
    """A pool and the one that it is compared with, as what the stage reads.

    Args:
        pool: The pool that is cleaned.
        other: The other one.
    """

    def __init__(self, pool: Pool, other: Pool) -> None:
        self.pool, self.other = pool, other

    @property
    def options(self) -> BaseModel:
        """How the cleaned pool's files are read."""
        return self.pool.options

    @property
    def rejects(self) -> Iterable[Reject]:
        """What could not be read of the cleaned pool."""
        return self.pool.rejects

    def inputs(self) -> Sequence[InputFile]:
        """The cleaned pool's files, then the other's."""
        return [*self.pool.inputs(), *self.other.inputs()]


def remove_matches(
    run: StageRun, compared: Compared, config: DedupConfig, *, num_threads: int
) -> None:
    """Writes the records of a pool that match nothing of another pool, and what matched.

    Args:
        run: The stage's open run.
        compared: The pool that is cleaned, and the other one.
        config: The threshold and the containment of a match.
        num_threads: Threads; 0 takes all cores.
    """
    pool, other = compared.pool, compared.other
    find = _by_cosine if config.method == "semantic" else _by_shingles
    matched = find(run, pool, other, config, num_threads)
    _write_clean(run, pool, matched.hit, num_threads)
    rows = pa.array(np.flatnonzero(matched.hit))
    run.drop(
        matched.ids.take(rows),
        IN_OTHER,
        against=matched.partner.take(rows),
        details=pa.array(matched.details, pa.string()),
    )
    run.writer("against.parquet", matched.against.schema).write(matched.against)
    run.counts.input = len(matched.ids)
    run.counts.kept = int((~matched.hit).sum())
    found = matched.against.column("found").to_numpy(zero_copy_only=False)
    run.figures.update(
        other_records=len(found),
        other_found=int(found.sum()),
        share_of_other_found=round(float(found.mean()), 6) if len(found) else 0.0,
        other_rejected=len(other.rejects),
        **matched.figures,
    )


def _by_shingles(
    run: StageRun, pool: Pool, other: Pool, config: DedupConfig, num_threads: int
) -> Matched:
    other_ids: list[pa.Array] = []
    ids: list[pa.Array] = []
    of_other, of_pool = ops.matches(
        _ids_kept(other.batches(TEXT_COLUMNS, num_threads=num_threads), other_ids),
        _ids_kept(pool.batches(TEXT_COLUMNS, num_threads=num_threads, reporter=run.reporter), ids),
        shingle=config.shingle,
        shingle_size=config.shingle_size,
        normalize=config.normalize,
        num_threads=num_threads,
        on_progress=run.reporter,
    )
    pool_ids, names = _joined(ids), _joined(other_ids)
    found, hit = (
        (side.containment >= config.min_containment) | (side.jaccard >= config.threshold)
        for side in (of_other, of_pool)
    )
    details = [
        f"containment {share:.4f}, Jaccard {jaccard:.4f}"
        for share, jaccard in zip(of_pool.containment[hit], of_pool.jaccard[hit], strict=True)
    ]
    columns = [
        names,
        pa.array(found),
        _ids_of(pool_ids, of_other.container),
        pa.array(of_other.containment),
        _ids_of(pool_ids, of_other.nearest),
        pa.array(of_other.jaccard),
    ]
    against = pa.RecordBatch.from_arrays(columns, schema=AGAINST_SCHEMA)
    return Matched(pool_ids, hit, _ids_of(names, of_pool.container), details, against, {})


def _by_cosine(
    run: StageRun, pool: Pool, other: Pool, config: DedupConfig, num_threads: int
) -> Matched:
    num_other = sum(batch.num_rows for batch in other.batches(["id"], num_threads=num_threads))
    # Embedded together: vectors of `lexical` depend on all texts that were counted.
    embedded = embed_pool(
        Joined(other, pool),
        config.embed_config(),
        num_threads=num_threads,
        reporter=run.reporter,
    )
    ids = embedded.ids.combine_chunks()
    names, pool_ids = ids[:num_other], ids[num_other:]
    others_MD, vectors_ND = embedded.vectors_ND[:num_other], embedded.vectors_ND[num_other:]
    method = "exact" if config.search == "blocks" else config.search
    of_other, cosine_of_other, _ = nearest(
        others_MD, vectors_ND, method=method, num_threads=num_threads, reporter=run.reporter
    )
    of_pool, cosine_of_pool, search = nearest(
        vectors_ND, others_MD, method=method, num_threads=num_threads, reporter=run.reporter
    )
    columns = [
        names,
        pa.array(cosine_of_other >= config.threshold),
        _ids_of(pool_ids, of_other),
        pa.array(cosine_of_other),
    ]
    hit = cosine_of_pool >= config.threshold
    return Matched(
        pool_ids,
        hit,
        _ids_of(names, of_pool),
        [f"cosine {value:.4f}" for value in cosine_of_pool[hit]],
        pa.RecordBatch.from_arrays(columns, schema=SEMANTIC_SCHEMA),
        {"search": search, **embedding_figures(embedded)},
    )


def _ids_kept(batches: Iterable[pa.RecordBatch], ids: list[pa.Array]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        ids.append(batch.column("id"))
        yield batch


def _joined(parts: list[pa.Array]) -> pa.Array:
    return pa.concat_arrays(parts) if parts else pa.array([], pa.string())


def _ids_of(ids: pa.Array, places: npt.NDArray[np.int32]) -> pa.Array:
    return ids.take(pa.array(places, mask=places < 0))


def _write_clean(run: StageRun, pool: Pool, hit: npt.NDArray[np.bool_], num_threads: int) -> None:
    sink = run.writer("data.parquet", pool.schema)
    start = 0
    writes = Renamed(run.reporter, "write")
    for batch in pool.batches(num_threads=num_threads, reporter=writes):
        sink.write(batch.filter(pa.array(~hit[start : start + batch.num_rows])))
        start += batch.num_rows
