"""The form that all stages share: a pool and a config in, a result folder out.

A stage opens a `StageRun`, gives every input record one outcome, and writes its files through
it. The folder appears whole or not at all; what a killed run had put into `run.work` is there
again when the same run is started anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

import lmmixup
from lmmixup.errors import CountsError, FileError, LmmixupError, OutputExistsError
from lmmixup.parquet import ROWS_PER_GROUP, ParquetSink
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt

DROPPED_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("against", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
"""Columns of `dropped.parquet`: the record, a short reason to group by, the id of the record it
lost against where there is one, and a sentence for people."""


class StageConfig(BaseModel):
    """Base of all stage configs: frozen, validated when made, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class InputFile:
    """One file that a stage read.

    Attributes:
        path: Path as the user gave it.
        sha256: Digest of its bytes, 64 hex digits.
        num_bytes: Its size.
    """

    path: str
    sha256: str
    num_bytes: int


class Reject(Protocol):
    """What `rejects.jsonl` needs of a record that could not be read."""

    def to_dict(self) -> dict[str, Any]:
        """Keys `file`, `line` or `row`, `reason`, `message` and `raw` at least."""


class Input(Protocol):
    """What a stage needs to know of its pool for the manifest."""

    @property
    def options(self) -> BaseModel:
        """How the files were read; part of what makes two runs the same."""

    @property
    def rejects(self) -> Iterable[Reject]:
        """Records that could not be read, complete after a full pass."""

    def inputs(self) -> Sequence[InputFile]:
        """The files behind the pool, with digests."""


@dataclass
class Counts:
    """Outcomes of a stage's input records; they must sum to `input`.

    Attributes:
        input: Records that came in, rejected ones included.
        kept: Records that went on as they are.
        used: Records that went into made ones.
        leftover: Records that the stage could not place, kept aside.
        dropped: Number by reason.
        rejected: Number by reason.
        made: New records; counted apart.
    """

    input: int = 0
    kept: int = 0
    used: int = 0
    leftover: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    made: int = 0

    def check(self) -> None:
        """Raises `CountsError` where the outcomes do not sum to the input."""
        dropped, rejected = sum(self.dropped.values()), sum(self.rejected.values())
        outcomes = self.kept + self.used + self.leftover + dropped + rejected
        if outcomes != self.input:
            raise CountsError(
                f"{self.input} records came in but {outcomes} have an outcome (kept {self.kept}, "
                f"used {self.used}, leftover {self.leftover}, dropped {dropped}, rejected "
                f"{rejected}); nothing was written: please report this"
            )

    def to_dict(self) -> dict[str, Any]:
        """The counts as they stand in the manifest."""
        return {
            **vars(self),
            "dropped": dict(sorted(self.dropped.items())),
            "rejected": dict(sorted(self.rejected.items())),
        }


@dataclass(frozen=True)
class StageResult:
    """A finished result folder.

    Attributes:
        path: The folder.
        manifest: Content of its `manifest.json`.
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def counts(self) -> dict[str, Any]:
        """Outcomes of the input records."""
        return dict(self.manifest["counts"])

    @property
    def figures(self) -> dict[str, Any]:
        """The stage's own numbers."""
        return dict(self.manifest["figures"])

    @property
    def num_rejected(self) -> int:
        """Number of input records that could not be used."""
        return sum(self.manifest["counts"]["rejected"].values())


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
        self.result: StageResult | None = None
        self._partial = self.output.parent / f".{self.output.name}.partial"
        self._sinks: dict[str, ParquetSink] = {}
        self._lock_fd = -1

    @property
    def folder(self) -> Path:
        """Where output files are written until the stage is finished."""
        return self._partial / "out"

    @property
    def work(self) -> Path:
        """Where a stage keeps finished pieces that a killed run should not do again."""
        return self._partial / "work"

    @property
    def scratch(self) -> Path:
        """Where a stage puts what only this run needs; empty at its start, gone at its end."""
        return self._partial / "scratch"

    def writer(self, name: str, schema: pa.Schema) -> ParquetSink:
        """Opens one of the stage's Parquet files; it is closed when the run ends.

        Args:
            name: File name such as `data.parquet`, or `low/data.parquet`.
            schema: Its columns.
        """
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sink = ParquetSink(path, schema)
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
        reasons = pa.array([reason] * len(ids), pa.string())
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
        if self.output.exists() and not self.overwrite:
            raise OutputExistsError(
                f"{self.output}: exists already; name another folder or pass --overwrite"
            )
        try:
            self._partial.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._open_partial()
        except OSError as error:
            self._release_lock()
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
        try:
            if error is None:
                self._finish()
            elif isinstance(error, OSError) and not isinstance(error, LmmixupError):
                raise _file_error(self.output, error) from error
        except OSError as failure:
            if isinstance(failure, LmmixupError):
                raise
            raise _file_error(self.output, failure) from failure
        finally:
            self._abandon_sinks()
            self._clean_up()
            self._release_lock()

    def _take_lock(self) -> None:
        import fcntl  # noqa: PLC0415

        self._lock_fd = os.open(self._partial / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputExistsError(
                f"{self.output}: another run is writing it now; wait for it or name another folder"
            ) from None

    def _release_lock(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _open_partial(self) -> None:
        key_file = self._partial / "key.json"
        key = self.key()
        if self.earlier_key() == key:
            if self.work.exists() and any(self.work.iterdir()):
                self.reporter.note(f"continuing an earlier run of {self.output}")
        else:
            shutil.rmtree(self.work, ignore_errors=True)
            key_file.write_text(json.dumps(key, sort_keys=True, indent=1))
        for folder in (self.folder, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        self.work.mkdir(exist_ok=True)

    def key(self) -> dict[str, Any]:
        """What makes two runs the same: stage, version, config, inputs."""
        return {
            "stage": self.stage,
            "lmmixup": lmmixup.__version__,
            "config": self.config.model_dump(mode="json"),
            "pool": self.pool.options.model_dump(mode="json"),
            "inputs": [vars(file) for file in self.pool.inputs()],
        }

    def earlier_key(self) -> dict[str, Any] | None:
        """The key of the run that left its work here, or `None`."""
        try:
            key: dict[str, Any] = json.loads((self._partial / "key.json").read_text())
        except (OSError, ValueError):
            return None
        return key

    def _finish(self) -> None:
        self._write_rejects()
        self._dropped()
        for sink in self._sinks.values():
            sink.close()
        self.counts.check()
        manifest = self._manifest()
        (self.folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        self._move_into_place()
        self.result = StageResult(self.output, manifest)

    def _write_rejects(self) -> None:
        with (self.folder / "rejects.jsonl").open("w", encoding="utf-8") as file:
            for reject in self.pool.rejects:
                row = reject.to_dict()
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                reason = row["reason"]
                self.counts.rejected[reason] = self.counts.rejected.get(reason, 0) + 1

    def _manifest(self) -> dict[str, Any]:
        return {
            "format": 1,
            "stage": self.stage,
            "lmmixup": lmmixup.__version__,
            "config": self.config.model_dump(mode="json"),
            "pool": self.pool.options.model_dump(mode="json"),
            "inputs": [vars(file) for file in self.pool.inputs()],
            "counts": self.counts.to_dict(),
            "figures": self.figures,
            "outputs": dict(self._describe_outputs()),
        }

    def _describe_outputs(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            name = path.relative_to(self.folder).as_posix()
            described: dict[str, Any] = {
                "sha256": file_sha256(path),
                "num_bytes": path.stat().st_size,
            }
            if name in self._sinks:
                described["num_records"] = self._sinks[name].num_rows
            yield name, described

    def _move_into_place(self) -> None:
        if self.output.exists():
            old = self._partial / "old"
            shutil.rmtree(old, ignore_errors=True)
            self.output.rename(old)
        self.folder.rename(self.output)

    def _abandon_sinks(self) -> None:
        for sink in self._sinks.values():
            try:
                sink.close()
            except (OSError, ValueError, pa.ArrowException):
                continue  # the run already failed for a reason of its own

    def _clean_up(self) -> None:
        if not self._partial.exists():
            return
        for folder in (self.folder, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
        nothing_to_resume = not self.work.exists() or not any(self.work.iterdir())
        if self.result is not None or nothing_to_resume:
            shutil.rmtree(self._partial, ignore_errors=True)


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes.

    Args:
        path: The file.

    Returns:
        64 hex digits.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file_error(output: Path, error: OSError) -> FileError:
    where = error.filename or output
    what = error.strerror or str(error)
    return FileError(f"{where}: {what}; {output} was not written")
