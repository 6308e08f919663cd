"""The stage `rate --knn-bayes`: a pool in, the same records rated by a library out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmmixup.embed import Embedded, read_vectors
from lmmixup.errors import ArgumentError, DataError
from lmmixup.library import HIGH, NUM_CLASSES, open_libraries
from lmmixup.library.store import library_texts, text_bytes
from lmmixup.pool import widen
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from lmmixup.library import Libraries, Library, Scores
    from lmmixup.pool import Pool
    from lmmixup.rate.config import KnnBayesConfig

NEIGHBOUR = pa.struct(
    [
        pa.field("id", pa.string()),
        pa.field("rating", pa.int8()),
        pa.field("cosine", pa.float32()),
    ]
)

COLUMNS = pa.schema(
    [
        pa.field("rating", pa.int8()),
        pa.field("rating_reason", pa.string()),
        pa.field("expected", pa.float32()),
        pa.field("map_class", pa.int8()),
        pa.field("p_ge_4", pa.float32()),
        pa.field("entropy", pa.float32()),
        pa.field("posterior", pa.list_(pa.float32(), NUM_CLASSES)),
        pa.field("head", pa.float32()),
        pa.field("neighbours", pa.list_(NEIGHBOUR)),
    ]
)
"""What is added to each record, its name after the prefix; all but the reason is null where it is
unrated."""

ROWS_AT_A_TIME = 16_384


def run(
    pool: Pool,
    config: KnnBayesConfig,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Rates a pool by its nearest neighbours in a library.

    Every record stays. One that got no rating has null in `rating` and says why in
    `rating_reason`: `no-text`, or `no-library` for its task type. One that is in the library is
    rated by the others unless the config says otherwise.

    Args:
        pool: The records.
        config: The library.
        output: Folder to make.
        overwrite: Replace an output that exists.
        num_threads: 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        The finished folder: `data.parquet` (all records with the columns of `COLUMNS`),
        `dropped.parquet` (empty), `rejects.jsonl`, `manifest.json`.

    Raises:
        FileError: There is no library.
        DataError: Its embedder is another than the one that made it; given vectors lack a
            record.
        OutputExistsError: The output exists and `overwrite` is false.

    Notes:
        Streams: memory holds the library and a few thousand records. Same bytes at any number
        of threads. Large libraries are asked on a GPU where there is one, which the figure
        `neighbours` says: cosines then agree to 1e-6, and what follows from them likewise.

    Source:
        METHOD §5 and §10.
    """
    with StageRun(
        "rate", output, config=config, pool=pool, overwrite=overwrite, reporter=reporter
    ) as open_run:
        widened = widen(pool.layout(num_threads), _prefixed(config.prefix))
        if widened.replaced:
            reporter.note(f"ratings of an earlier run give way: {', '.join(widened.replaced)}")
        rater = _Rater(config, num_threads)
        open_run.figures["libraries"] = rater.digests()
        sink = open_run.writer("data.parquet", widened.schema)
        for batch in pool.batches(num_threads=num_threads):
            open_run.counts.input += batch.num_rows
            for start in range(0, len(batch), ROWS_AT_A_TIME):
                records = batch.slice(start, ROWS_AT_A_TIME)
                sink.write(widened.join(records, rater.rate(records)))
                reporter("rate", sink.num_rows, 0)
        open_run.counts.kept = sink.num_rows
        open_run.figures.update(rater.figures())
        if rater.num_known:
            reporter.note(
                f"{rater.num_known:,} records are in the library themselves; "
                + (
                    "each was rated by the others"
                    if config.leave_one_out
                    else "their own ratings are among their neighbours'"
                )
            )
    return open_run.result


class _Rater:
    """Rates batches and counts what became of the records."""

    def __init__(self, config: KnnBayesConfig, num_threads: int) -> None:
        self._num_threads = num_threads
        self._leave_one_out = config.leave_one_out
        self._list_neighbours = config.list_neighbours
        self._libraries: Libraries = open_libraries(config.knn_bayes)
        self._vectors = None if config.vectors is None else self._given(config.vectors)
        self.num_known = 0
        self._methods: set[str] = set()
        self._num_by_rating = np.zeros(NUM_CLASSES, np.int64)
        self._num_high_expected = 0.0
        self._num_by_reason: dict[str, int] = {}

    def digests(self) -> dict[str, str]:
        """Digest of each library's manifest, by task type."""
        return {name: library.digest() for name, library in self._libraries}

    def figures(self) -> dict[str, Any]:
        """Ratings given, and records that got none by reason.

        `share_ge_4` is over the rated records; `library_share_ge_4` is what it would be if each
        library's records were rated as its judge rated them.
        """
        ratings = {str(rating): int(n) for rating, n in enumerate(self._num_by_rating)}
        rated = sum(ratings.values())
        high = int(self._num_by_rating[HIGH:].sum())
        return {
            "rated": rated,
            "unrated": sum(self._num_by_reason.values()),
            "unrated_reasons": dict(sorted(self._num_by_reason.items())),
            "ratings": ratings,
            "share_ge_4": round(high / rated, 6) if rated else None,
            "library_share_ge_4": round(self._num_high_expected / rated, 6) if rated else None,
            "records_in_the_library": self.num_known,
            "neighbours": sorted(self._methods),
        }

    def rate(self, records: pa.RecordBatch) -> list[pa.Array]:
        """The columns of `COLUMNS` for a batch."""
        reasons = np.full(len(records), "no-library", object)
        parts = []
        for library, rows in self._by_library(records):
            some = records.take(pa.array(rows))
            vectors_ND = self._embed(library, some)
            has_text = vectors_ND.any(axis=1)
            reasons[rows] = None
            reasons[rows[~has_text]] = "no-text"
            if has_text.any():
                kept = some.filter(pa.array(has_text))
                parts.append((rows[has_text], self._score(library, kept, vectors_ND[has_text])))
        for reason in reasons:
            if reason is not None:
                self._num_by_reason[reason] = self._num_by_reason.get(reason, 0) + 1
        return _gather(parts, reasons)

    def _by_library(self, records: pa.RecordBatch) -> Iterator[tuple[Library, NDArray[np.int64]]]:
        task_types = records.column("task_type").to_pylist()
        rows_of: dict[Library | None, list[int]] = {}
        for row, task_type in enumerate(task_types):
            rows_of.setdefault(self._libraries.get(task_type), []).append(row)
        for library, rows in rows_of.items():
            if library is not None:
                yield library, np.array(rows, np.int64)

    def _embed(self, library: Library, records: pa.RecordBatch) -> NDArray[np.float32]:
        if self._vectors is None:
            return library.embedder.embed(library_texts(records, library.config))
        library.check_identity(self._vectors.identity)
        rows = pc.index_in(records.column("id"), value_set=self._vectors.ids.combine_chunks())
        if rows.null_count:
            missing = records.column("id").filter(pc.is_null(rows))[0].as_py()
            raise DataError(f"the given vectors have none for record {missing!r}")
        return np.ascontiguousarray(self._vectors.vectors_ND[rows.to_numpy()])

    def _given(self, folder: Path) -> Embedded:
        for name, library in self._libraries:
            if library.config.text != "record":
                raise ArgumentError(
                    f"vectors of whole records do not fit the library {name!r}, which embeds the "
                    "completion alone; leave out --vectors"
                )
        return read_vectors(folder)

    def _score(
        self, library: Library, records: pa.RecordBatch, vectors_ND: NDArray[np.float32]
    ) -> pa.RecordBatch:
        known = library.contents.find(records)
        scores = library.score(
            vectors_ND,
            text_bytes(records, library.config),
            known=known if self._leave_one_out else None,
            num_threads=self._num_threads,
        )
        self.num_known += len(known.rows)
        self._methods.add(scores.neighbours.method)
        self._num_by_rating += np.bincount(scores.rating_Q, minlength=NUM_CLASSES)
        self._num_high_expected += len(records) * float((library.ratings_N >= HIGH).mean())
        return _columns(scores, library, self._list_neighbours)


def _prefixed(prefix: str) -> pa.Schema:
    return pa.schema([field.with_name(prefix + field.name) for field in COLUMNS])


def _columns(scores: Scores, library: Library, list_neighbours: int | None) -> pa.RecordBatch:
    idx_QK = scores.neighbours.idx_QK[:, :list_neighbours]
    num_records, k = idx_QK.shape
    flat = idx_QK.ravel()
    neighbours = pa.StructArray.from_arrays(
        [
            library.ids.take(pa.array(flat)),
            pa.array(library.ratings_N[flat], pa.int8()),
            pa.array(scores.neighbours.sim_QK[:, :list_neighbours].ravel(), pa.float32()),
        ],
        fields=list(NEIGHBOUR),
    )
    offsets = pa.array(np.arange(num_records + 1) * k, pa.int32())
    posterior = pa.array(scores.posterior_QC.astype(np.float32).ravel())
    head = pa.nulls(num_records, pa.float32())
    if scores.head_Q is not None:
        head = pa.array(scores.head_Q.astype(np.float32))
    arrays = [
        pa.array(scores.rating_Q),
        pa.nulls(num_records, pa.string()),
        pa.array(scores.expected_Q.astype(np.float32)),
        pa.array(scores.map_class_Q),
        pa.array(scores.p_ge_4_Q.astype(np.float32)),
        pa.array(scores.entropy_Q.astype(np.float32)),
        pa.FixedSizeListArray.from_arrays(posterior, NUM_CLASSES),
        head,
        pa.ListArray.from_arrays(offsets, neighbours),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=COLUMNS)


def _gather(
    parts: list[tuple[NDArray[np.int64], pa.RecordBatch]], reasons: NDArray[np.object_]
) -> list[pa.Array]:
    """Puts rated rows back into their places; the others are null but for the reason."""
    place = np.full(len(reasons), -1, np.int64)
    before = 0
    for rows, rated in parts:
        place[rows] = before + np.arange(len(rated))
        before += len(rated)
    table = pa.Table.from_batches([rated for _, rated in parts], COLUMNS)
    taken = table.take(pa.array(place, mask=place < 0)).combine_chunks()
    why = pa.array(reasons.tolist(), pa.string())
    return [
        why if name == "rating_reason" else taken[name].combine_chunks() for name in COLUMNS.names
    ]
