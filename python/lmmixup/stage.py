"""The form that all stages share: a pool and a config in, a result folder out.

A stage opens a `StageRun`, gives every input record one outcome, and writes its files through
it. The folder appears whole or not at all; what a killed run had put into `run.work` is there
again when the same run is started anew.
"""

from __future__ import annotations

import json
from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

import lmmixup
from lmmixup.errors import FileError, LmmixupError, OutputExistsError
from lmmixup.inputs import Input, InputFile, Reject, file_sha256
from lmmixup.interrupts import Held
from lmmixup.outcomes import DROPPED_SCHEMA, Counts
from lmmixup.parquet import ROWS_PER_GROUP, ParquetSink
from lmmixup.partial import PartialFolder
from lmmixup.progress import SILENT, Reporter
from lmmixup.result import InterruptedWhenDoneError, StageResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt

__all__ = [
    "DROPPED_SCHEMA",
    "Counts",
    "Input",
    "InputFile",
    "InterruptedWhenDoneError",
    "Reject",
    "StageConfig",
    "StageResult",
    "StageRun",
    "file_sha256",
]


_DIGESTS_AT_ONCE = 2


class StageConfig(BaseModel):
    """Base of all stage configs: frozen, validated when made, unknown keys refused."""

    aside: ClassVar[frozenset[str]] = frozenset()
    """Fields that say how the work is done and not what comes out: a killed run goes on with other
    values of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StageRun:
    """One run of one stage: its folders, outcomes and figures.

    The files are written to `.NAME.partial/` beside the output and moved into place at the
    end. A second run with the same stage, config and inputs finds the first one's `work`
    folder; any other run starts from nothing.

    Args:
        stage: Name of the stage.
        output: Folder to make.
        config: The stage's config; goes into the manifest.
        pool: Where the records come from.
        overwrite: Replace an existing output instead of raising.
        reporter: Where progress goes.

    Attributes:
        digests: SHA-256 of output files by name, where the stage took it while it wrote them.

    Raises:
        OutputExistsError: The output exists and `overwrite` is false.
        FileError: The output's parent cannot be written.

    Source:
        Ours.
    """

    def __init__(
        self,
        stage: str,
        output: str | Path,
        *,
        config: StageConfig,
        pool: Input,
        overwrite: bool = False,
        reporter: Reporter = SILENT,
    ) -> None:
        self.stage = stage
        self.output = Path(output)
        self.config = config
        self.pool = pool
        self.overwrite = overwrite
        self.reporter = reporter
        self.counts = Counts()
        self.figures: dict[str, Any] = {}
        self.digests: dict[str, str] = {}
        self._result: StageResult | None = None
        self._partial = PartialFolder(self.output)
        self._sinks: dict[str, ParquetSink] = {}

    @property
    def result(self) -> StageResult:
        """The finished folder, once the run was left without an error.

        Raises:
            RuntimeError: The run is not finished.
        """
        if self._result is None:
            raise RuntimeError(f"{self.output}: the run is not finished")
        return self._result

    @property
    def folder(self) -> Path:
        """Where output files are written until the stage is finished."""
        return self._partial.out

    @property
    def work(self) -> Path:
        """Where a stage keeps finished pieces that a killed run should not do again."""
        return self._partial.work

    @property
    def scratch(self) -> Path:
        """Where a stage puts what only this run needs; empty at its start, gone at its end."""
        return self._partial.scratch

    def writer(
        self, name: str, schema: pa.Schema, *, rows_per_group: int = ROWS_PER_GROUP
    ) -> ParquetSink:
        """Opens one of the stage's Parquet files; it is closed when the run ends.

        Args:
            name: File name such as `data.parquet`, or `low/data.parquet`.
            schema: Its columns.
            rows_per_group: Rows of a row group; fewer where rows are large.
        """
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sink = ParquetSink(path, schema, rows_per_group=rows_per_group)
        self._sinks[name] = sink
        return sink

    def write_rows(
        self,
        name: str,
        records: pa.Table,
        rows: npt.NDArray[np.int64],
        added: pa.RecordBatch,
    ) -> None:
        """Writes some records with columns added; a column of the same name is replaced.

        Args:
            name: File name such as `data.parquet`.
            records: (N) records.
            rows: (R,) which of them, in the order of the file.
            added: (R) rows of the new columns.
        """
        same = [column for column in added.schema.names if column in records.column_names]
        kept = records.drop_columns(same)
        schema = pa.schema([*kept.schema, *added.schema], kept.schema.metadata)
        sink = self.writer(name, schema)
        for start in range(0, len(rows), ROWS_PER_GROUP):
            part = kept.take(pa.array(rows[start : start + ROWS_PER_GROUP]))
            new = added.slice(start, ROWS_PER_GROUP).columns
            sink.write(pa.Table.from_arrays([*part.columns, *new], schema=schema))

    def drop(
        self,
        ids: pa.Array,
        reason: str,
        *,
        against: pa.Array | None = None,
        details: pa.Array | None = None,
    ) -> None:
        """Gives records the outcome *dropped* and writes them to `dropped.parquet`.

        Args:
            ids: The records' ids, string.
            reason: Short reason that all of them share, such as `near-duplicate`.
            against: Id of the record that each lost against, null where there is none.
            details: One sentence each, such as how similar the two are.
        """
        if len(ids) == 0:
            return
        nothing = pa.nulls(len(ids), pa.string())
        self.counts.dropped[reason] = self.counts.dropped.get(reason, 0) + len(ids)
        reasons = _repeated(reason, len(ids))
        columns = [
            ids,
            reasons,
            nothing if against is None else against,
            nothing if details is None else details,
        ]
        self._dropped().write(pa.RecordBatch.from_arrays(columns, schema=DROPPED_SCHEMA))

    def _dropped(self) -> ParquetSink:
        return self._sinks.get("dropped.parquet") or self.writer("dropped.parquet", DROPPED_SCHEMA)

    def __enter__(self) -> Self:
        try:
            self._check_free()
            self._partial.take()
            try:
                self._open_partial()
            except BaseException:
                self._partial.clean_up(is_done=False)
                self._partial.release()
                raise
        except OSError as error:
            if isinstance(error, LmmixupError):
                raise
            raise _file_error(self.output, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        held = Held()
        try:
            if error is None:
                manifest = self._complete()
                with held:
                    self._partial.move_into_place()
                    self._result = StageResult(self.output, manifest)
                    self._partial.clean_up(is_done=True)
            elif isinstance(error, OSError) and not isinstance(error, LmmixupError):
                raise _file_error(self.output, error) from error
        except OSError as failure:
            if isinstance(failure, LmmixupError):
                raise
            raise _file_error(self.output, failure) from failure
        finally:
            self._abandon_sinks()
            self._partial.clean_up(is_done=self._result is not None)
            self._partial.release()
        if held.came and self._result is not None:
            raise InterruptedWhenDoneError(self._result)

    def _open_partial(self) -> None:
        self._partial.restore_old()
        self._check_free()  # again: another run may have finished since
        if self._partial.open(self.key()):
            self.reporter.note(f"continuing an earlier run of {self.output}")

    def _check_free(self) -> None:
        if self.output.exists() and not self.overwrite:
            raise OutputExistsError(
                f"{self.output}: exists already; name another folder or pass --overwrite"
            )

    def key(self) -> dict[str, Any]:
        """What makes two runs the same: stage, version, config, inputs."""
        return {
            "stage": self.stage,
            "lmmixup": lmmixup.__version__,
            "config": self.config.model_dump(mode="json", exclude=set(self.config.aside)),
            "pool": self.pool.options.model_dump(mode="json"),
            "inputs": [vars(file) for file in self.pool.inputs()],
        }

    def earlier_key(self) -> dict[str, Any] | None:
        """The key of the run that left its work here, or `None`."""
        return self._partial.earlier_key()

    def close_writers(self) -> None:
        """Writes the footers, for a stage that describes its finished files in another one."""
        self._dropped()
        for sink in self._sinks.values():
            sink.close()

    def _complete(self) -> dict[str, Any]:
        """Writes what is missing; gives the manifest."""
        self._reject()
        self.close_writers()
        self.counts.check()
        manifest = self._manifest()
        (self.folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        return manifest

    def _reject(self) -> None:
        """Gives what could not be read the outcome *rejected* and writes it down."""
        with (self.folder / "rejects.jsonl").open("w", encoding="utf-8") as file:
            for reject in self.pool.rejects:
                row = reject.to_dict()
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                reason = row["reason"]
                self.counts.input += 1
                self.counts.rejected[reason] = self.counts.rejected.get(reason, 0) + 1

    def _manifest(self) -> dict[str, Any]:
        return {
            "format": 1,
            **self.key(),
            "counts": self.counts.to_dict(),
            "figures": self.figures,
            "outputs": dict(self._describe_outputs()),
        }

    def _describe_outputs(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        names = [path.relative_to(self.folder).as_posix() for path in paths]

        def digest_of(name: str) -> str:
            return self.digests.get(name) or file_sha256(self.folder / name)

        with ThreadPoolExecutor(_DIGESTS_AT_ONCE) as aside:
            digests = list(aside.map(digest_of, names))
        for path, name, digest in zip(paths, names, digests, strict=True):
            described: dict[str, Any] = {
                "sha256": digest,
                "num_bytes": path.stat().st_size,
            }
            if name in self._sinks:
                described["num_records"] = self._sinks[name].num_rows
            yield name, described

    def _abandon_sinks(self) -> None:
        for sink in self._sinks.values():
            try:
                sink.close()
            except (OSError, ValueError, pa.ArrowException):
                continue  # the run already failed for a reason of its own


def _repeated(text: str, count: int) -> pa.Array:
    """A text so many times. Arrow imports pandas to look at values of Python."""
    said = text.encode()
    ends = array("i", range(0, (count + 1) * len(said), len(said)))
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(said * count))


def _file_error(output: Path, error: OSError) -> FileError:
    where = error.filename or output
    what = error.strerror or str(error)
    return FileError(f"{where}: {what}; {output} was not written")
