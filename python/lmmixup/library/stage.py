"""The stage `library`: rated records in, a library that rates others out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmmixup.embed.vectors import write_vectors
from lmmixup.errors import DataError
from lmmixup.library.config import LibraryConfig
from lmmixup.library.scorer import fit_scorer
from lmmixup.library.scores import NUM_CLASSES, Examples
from lmmixup.library.store import describe, library_embedder, library_texts, text_bytes
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from lmmixup.pool import Pool


def run(
    pool: Pool,
    config: LibraryConfig | None = None,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Builds a library of a pool's rated records.

    Args:
        pool: The records, with a column of ratings.
        config: Which column, which scorer, which embedder.
        output: Folder to make.
        overwrite: Replace an output that exists.
        num_threads: 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        The finished folder: `data.parquet` (the records), `vectors.npy`, `head.npy` and
        `residuals.npy` (scorer `residual`), `dropped.parquet`, `rejects.jsonl`,
        `manifest.json`. Unrated records and those without text are dropped.

    Raises:
        DataError: The column is missing or holds something else than 0 to 5; too few rated
            records, or all rated the same.
        OutputExistsError: The output exists and `overwrite` is false.

    Notes:
        Holds the records and their vectors in memory. Same bytes at any number of threads.

    Source:
        METHOD §5; docs/knn_bayes.md.
    """
    config = config or LibraryConfig()
    with StageRun(
        "library", output, config=config, pool=pool, overwrite=overwrite, reporter=reporter
    ) as open_run:
        if config.rating not in pool.schema.names:
            names = ", ".join(pool.schema.names)
            raise DataError(
                f"the pool has no column {config.rating!r} with ratings; it has {names}"
            )
        records = pa.Table.from_batches(
            pool.batches(num_threads=num_threads, reporter=reporter), pool.schema
        )
        open_run.counts.input = records.num_rows
        records = _rated(open_run, records, config)
        records, vectors_ND, identity = _embedded(open_run, records, config, num_threads)
        ratings_N = records[config.rating].to_numpy().astype(np.int64)
        examples = Examples(vectors_ND, text_bytes(records, config), ratings_N)
        scorer = fit_scorer(examples, config, num_threads=num_threads, reporter=reporter)
        open_run.writer("data.parquet", records.schema).write(records)
        write_vectors(vectors_ND, open_run.folder, "f32")
        for name, array in scorer.arrays().items():
            np.save(open_run.folder / name, array)
        open_run.counts.kept = records.num_rows
        open_run.figures = describe(config, identity, scorer) | _shares(ratings_N)
    return open_run.result


def _rated(run: StageRun, records: pa.Table, config: LibraryConfig) -> pa.Table:
    """Drops records of other task types and unrated ones; the rest has ratings 0 to 5."""
    if config.task_type is not None:
        same = pc.equal(records["task_type"], config.task_type).fill_null(False)
        run.drop(records["id"].filter(pc.invert(same)).combine_chunks(), "other-task-type")
        records = records.filter(same)
    ratings = records[config.rating]
    rated = pc.is_valid(ratings)
    run.drop(records["id"].filter(pc.invert(rated)).combine_chunks(), "unrated")
    records = records.filter(rated)
    check_ratings(records[config.rating], records["id"], config.rating)
    at = records.schema.get_field_index(config.rating)
    whole = records[config.rating].cast(pa.int8())
    field = records.schema.field(at).with_type(pa.int8())
    return records.set_column(at, field, whole)


def check_ratings(ratings: pa.ChunkedArray, ids: pa.ChunkedArray, name: str) -> None:
    """Refuses ratings that are not whole numbers 0 to 5.

    Args:
        ratings: (N,) without nulls.
        ids: (N,) ids of the records.
        name: Of the column.

    Raises:
        DataError: Names the first record that does not fit.
    """
    if len(ratings) == 0:
        return  # a column of nulls may have any type
    if not (pa.types.is_integer(ratings.type) or pa.types.is_floating(ratings.type)):
        raise DataError(f"column {name!r}: expected ratings 0 to 5, got {ratings.type}")
    values = ratings.to_numpy().astype(np.float64)
    wrong = ~((values >= 0) & (values < NUM_CLASSES) & (values == np.floor(values)))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"column {name!r}: expected whole ratings 0 to 5, got {values[row]:g} for record "
            f"{ids[row].as_py()!r} and others, {int(wrong.sum()):,} in all; hint: ratings 1 to 10 "
            "become clip(rating, 4, 9) - 4"
        )


def _embedded(
    run: StageRun, records: pa.Table, config: LibraryConfig, num_threads: int
) -> tuple[pa.Table, NDArray[np.float32], dict[str, Any]]:
    """Vectors; records without any are dropped before a lexical embedder counts its words."""
    while True:
        texts = library_texts(records, config)
        embedder = library_embedder(config, texts, num_threads=num_threads, reporter=run.reporter)
        vectors_ND = embedder.embed(texts, run.reporter)
        has_text = pa.array(vectors_ND.any(axis=1))
        if pc.all(has_text).as_py() is not False:
            return records, vectors_ND, embedder.identity()
        run.drop(records["id"].filter(pc.invert(has_text)).combine_chunks(), "no-text")
        records = records.filter(has_text)


def _shares(ratings_N: NDArray[np.int64]) -> dict[str, Any]:
    counts = np.bincount(ratings_N, minlength=NUM_CLASSES)
    return {f"rated_{rating}": int(count) for rating, count in enumerate(counts)}
