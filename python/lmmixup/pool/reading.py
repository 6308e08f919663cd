"""`open_pool` and the `Pool` it gives: one or many files as one stream of canonical records."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa

from lmmixup import _rust
from lmmixup.errors import ArgumentError, DataError
from lmmixup.pool.arrow_files import ipc_source, parquet_source, table_source
from lmmixup.pool.arrow_source import ArrowSource
from lmmixup.pool.files import PoolFile, Spool, find_files
from lmmixup.pool.layout import CANONICAL, Layout, merge
from lmmixup.pool.mapping import map_source, reused_columns
from lmmixup.pool.options import PoolOptions
from lmmixup.pool.rejects import Reject, RejectLog
from lmmixup.pool.sampling import sampled_places
from lmmixup.pool.sources import RejectRow, Request, Source, Store
from lmmixup.pool.text_source import TextSource
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import InputFile, file_sha256

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from lmmixup.pool.layout import Original

Steps: TypeAlias = "Generator[tuple[Source, pa.RecordBatch, list[RejectRow]]]"
PoolSource: TypeAlias = str | Path | pa.Table | ArrowSource

TEXT_COLUMNS = ("id", "prompt", "completion")
"""What a store is fed with."""


def open_pool(
    sources: PoolSource | Sequence[PoolSource], options: PoolOptions | None = None
) -> Pool:
    """Opens files as one pool of canonical records; reads little more than their beginnings.

    Args:
        sources: One or more of: files (JSONL, JSON list, CSV, TSV, each also .gz and .zst;
            Parquet; Arrow IPC), globs, folders (a result of lmmixup, a dataset saved by
            `datasets`, Parquet shards), `-` for standard input, and tables in memory.
        options: How to read them; the defaults detect everything.

    Returns:
        The pool. Files are read when records are asked for, and again each time.

    Raises:
        FileError: A source is not there or cannot be read.
        DataError: A source holds no records, is not what its name says, or has columns of no
            known schema.
        ArgumentError: `options` name columns or schemas that there are not.

    Example:
        >>> import pyarrow as pa
        >>> pool = open_pool(pa.table({"prompt": ["1 + 1?"], "completion": ["2"]}))
        >>> pool.schema_name, pool.read().column("messages")[0].as_py()[1]["content"]
        ('prompt_completion', '2')
    """
    if isinstance(sources, str | Path | pa.Table | ArrowSource):
        sources = [sources]
    if not sources:
        raise ArgumentError("expected at least one source, got none; name a file")
    return Pool(list(sources), options or PoolOptions())


class Pool:
    """Records of one or more files, canonical, streamed; see `open_pool`.

    Iterating twice gives the same records in the same order. Memory holds a few batches, and
    24 to 36 bytes a record to keep ids unique.

    Attributes:
        options: How the files are read.
        schema_name: The schema that was detected or named.
    """

    def __init__(self, sources: list[PoolSource], options: PoolOptions) -> None:
        self.options = options
        self._given = sources
        self._spool = Spool()
        self._max_bytes = int(options.max_line_mb * (1 << 20))
        self._files: list[PoolFile] = []
        self._sources: list[Source] = []
        for source in sources:
            self._add(source)
        self._own = self._lone_own_file()
        self._layout: Layout | None = None if self._own is None else self._own.layout
        mapped = [] if self._own is not None else self._sources
        self._mappings = [map_source(source, options) for source in mapped]
        self._rejects: RejectLog | None = None
        self._num_records: int | None = None
        self._sampled: np.ndarray | None = None
        self._inputs: list[InputFile] | None = None

    def _add(self, source: PoolSource) -> None:
        if isinstance(source, ArrowSource | pa.Table):
            is_table = isinstance(source, pa.Table)
            self._sources.append(table_source(source) if is_table else source)
            return
        for file in find_files([source], self._spool):
            self._files.append(file)
            if file.kind == "text":
                self._sources.append(TextSource(file, self._max_bytes))
            elif file.kind == "parquet":
                self._sources.append(parquet_source(file))
            else:
                self._sources.append(ipc_source(file))

    def _lone_own_file(self) -> ArrowSource | None:
        """The only source, where lmmixup wrote it and the options leave it as it is."""
        only = self._sources[0] if len(self._sources) == 1 else None
        changed = self.options.model_copy(
            update={"sample": None, "sample_seed": 0, "strict": False, "max_line_mb": 64.0}
        )
        if isinstance(only, ArrowSource) and only.layout is not None and changed == PoolOptions():
            return only
        return None

    @property
    def is_own(self) -> bool:
        """Whether it is one file that lmmixup wrote, read as it is: cheap to read again."""
        return self._own is not None and self.options.sample is None

    @property
    def schema_name(self) -> str:
        """Name of the records' schema, as detected or named; several with `+` between."""
        if self._own is not None:
            return self._own.layout.schema_name if self._own.layout else ""
        return "+".join(dict.fromkeys(mapping.schema for mapping in self._mappings))

    @property
    def schema(self) -> pa.Schema:
        """Canonical columns, then the original ones, with the way back in its metadata.

        Asking for it reads text files once, since a column's type depends on all its values.
        """
        return self.layout().schema

    def layout(self, num_threads: int = 0, reporter: Reporter = SILENT) -> Layout:
        """All columns, and which of them hold what came in.

        Args:
            num_threads: Threads for the look at text files; 0 takes all cores.
            reporter: Where progress goes.

        Returns:
            The layout; it is kept, so that only the first call reads.
        """
        if self._layout is None:
            seen = [source.look(num_threads, reporter) for source in self._sources]
            self._layout = merge(
                seen, self.schema_name, reused_columns(self._mappings, self.options)
            )
        return self._layout

    def batches(
        self,
        columns: Sequence[str] | None = None,
        *,
        num_threads: int = 0,
        reporter: Reporter = SILENT,
    ) -> Iterator[pa.RecordBatch]:
        """The records, some thousands at a time, in the order of the files.

        Args:
            columns: Columns that are wanted; only they are built. `None` takes all.
            num_threads: Threads that read ahead; 0 takes all cores. They change no record.
            reporter: Where progress goes.

        Yields:
            Batches with the columns in the order asked for. None is empty.

        Raises:
            DataError: A record cannot be used and `options.strict` is set.
            ArgumentError: There is no such column.
        """
        names = list(
            self.layout(num_threads, reporter).schema.names if columns is None else columns
        )
        keep = self._sample_rows(num_threads, reporter)
        done = 0
        for batch in self._pass(names, num_threads):
            kept = batch
            if keep is not None:
                low, high = np.searchsorted(keep, [done, done + batch.num_rows])
                kept = batch.take(pa.array(keep[low:high] - done))
            done += batch.num_rows
            reporter("read pool", done, self._num_records or 0)
            if kept.num_rows:
                yield kept

    def feed(self, store: Store, *, num_threads: int = 0, reporter: Reporter = SILENT) -> None:
        """Gives id, prompt and completion of every record to a store that is made in Rust.

        The same records in the same order as `batches` gives, without Arrow in between where
        Rust reads the file itself.

        Args:
            store: Takes the records.
            num_threads: Threads that read; 0 takes all cores. They change no record.
            reporter: Where progress goes.

        Raises:
            DataError: A record cannot be used and `options.strict` is set.
        """
        if self._own is not None or self.options.sample is not None:
            for batch in self.batches(TEXT_COLUMNS, num_threads=num_threads, reporter=reporter):
                store.push(batch, num_threads)
            return

        def report(phase: str, done: int, _: int) -> None:
            reporter(phase, done, self._num_records or 0)

        log, before = RejectLog(), len(store)
        request = Request(TEXT_COLUMNS, [], self.options.source, num_threads)
        ids = _rust.PoolIds()
        for source, mapping in zip(self._sources, self._mappings, strict=True):
            with closing(source.feed(store, mapping, ids, request, report)) as steps:
                for rejects in steps:
                    for row in rejects:
                        log.append(self._reject(source, row))
        if self._rejects is None:
            self._rejects, self._num_records = log, len(store) - before

    def _pass(self, names: list[str], num_threads: int) -> Iterator[pa.RecordBatch]:
        log, count = RejectLog(), 0
        steps = self._own_steps(names) if self._own else self._steps(names, num_threads)
        with closing(steps):
            for source, batch, rejects in steps:
                for row in rejects:
                    log.append(self._reject(source, row))
                count += batch.num_rows
                yield batch
        if self._rejects is None:
            self._rejects, self._num_records = log, count

    def _own_steps(self, names: list[str]) -> Steps:
        source, layout = self._own, self._layout
        if source is None or layout is None:
            return
        self._check_names(names, layout)
        for batch in source.canonical_batches(names, layout.schema):
            yield source, batch, []

    def _steps(self, names: list[str], num_threads: int) -> Steps:
        schema, originals = self._wanted(names, num_threads)
        # Rust builds canonical columns in their own order.
        canonical = [name for name in CANONICAL.names if name in names]
        request = Request(canonical, originals, self.options.source, num_threads)
        ids = _rust.PoolIds()
        for source, mapping in zip(self._sources, self._mappings, strict=True):
            read = source.read(mapping, ids, request)
            with closing(read):
                for batch, rejects in read:
                    ordered = [batch.column(name) for name in names]
                    if names:
                        yield source, pa.RecordBatch.from_arrays(ordered, schema=schema), rejects

    def _wanted(
        self, names: list[str], num_threads: int
    ) -> tuple[pa.Schema, list[tuple[Original, pa.Field]]]:
        if all(name in CANONICAL.names for name in names):
            # Their types are fixed: no look at the whole files is needed.
            return pa.schema([CANONICAL.field(name) for name in names]), []
        layout = self.layout(num_threads)
        self._check_names(names, layout)
        schema = pa.schema([layout.schema.field(name) for name in names], layout.schema.metadata)
        originals = [
            (original, layout.schema.field(original.column))
            for original in layout.originals
            if original.column in names and original.column not in CANONICAL.names
        ]
        return schema, originals

    def _check_names(self, names: list[str], layout: Layout) -> None:
        for name in names:
            if name not in layout.schema.names:
                known = ", ".join(layout.schema.names)
                raise ArgumentError(f"expected columns among {known}, got {name!r}")

    def _reject(self, source: Source, row: RejectRow) -> Reject:
        place, reason, expected, got, hint, raw = row
        line, number = (place, None) if source.has_lines else (None, place)
        reject = Reject(source.name, line, number, reason, expected, got, hint, raw)
        if self.options.strict:
            raise DataError(reject.message)
        return reject

    def _sample_rows(self, num_threads: int, reporter: Reporter) -> np.ndarray | None:
        """Places of the sampled records, ascending; `None` for all."""
        size = self.options.sample
        if size is None:
            return None
        if self._sampled is None:
            ids = (batch.column(0) for batch in self._pass(["id"], num_threads))
            self._sampled = sampled_places(ids, size, self.options.sample_seed, reporter)
        return self._sampled

    def sample(self, size: int, seed: int = 0) -> Pool:
        """A pool of some of these records, in their order.

        Args:
            size: Number of records; all where the pool has no more.
            seed: Another seed draws others.

        Returns:
            The sampled pool; which records it has depends on their ids, not on their places.
        """
        update = {"sample": size, "sample_seed": seed}
        return Pool(self._given, self.options.model_copy(update=update))

    @property
    def rejects(self) -> RejectLog:
        """What could not be used; reads the pool where nobody has done so to the end."""
        self._finish_a_pass()
        return self._rejects if self._rejects is not None else RejectLog()

    @property
    def num_records(self) -> int:
        """Number of usable records (of the sample); reads the pool like `rejects`."""
        self._finish_a_pass()
        count = self._num_records or 0
        return count if self.options.sample is None else min(count, self.options.sample)

    def _finish_a_pass(self) -> None:
        if self._rejects is None:
            for _ in self._pass(["prompt"], 0):
                pass

    def inputs(self) -> list[InputFile]:
        """The files behind the pool with size and SHA-256; tables in memory have none."""
        if self._inputs is None:
            self._inputs = [
                InputFile(file.name, file_sha256(file.path), file.path.stat().st_size)
                for file in self._files
            ]
        return self._inputs

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All records in memory.

        Args:
            columns: As in `batches`.
        """
        names = list(self.schema.names if columns is None else columns)
        batches = list(self.batches(names))
        if batches:
            return pa.Table.from_batches(batches)
        if self._own is None:
            return self._wanted(names, 0)[0].empty_table()
        return pa.schema([self.schema.field(name) for name in names]).empty_table()
