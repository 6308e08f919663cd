"""Arrow shards in the layout that `datasets.load_from_disk` opens."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import pyarrow as pa
from pyarrow import ipc

import lmmixup
from lmmixup.stage import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmmixup import _rust
    from lmmixup.stage import StageRun
    from lmmixup.tokenize.config import TokenizeConfig

MIB = 1 << 20
ROWS_PER_BATCH = 1000
"""Rows of a record batch at most, as `datasets` writes them."""


class Shard(NamedTuple):
    """A shard that was written, or found from an earlier run.

    Attributes:
        num_rows: Its rows.
        is_whole: Whether rows did not break off in it.
        sha256: Its digest, if it was written now.
    """

    num_rows: int
    is_whole: bool
    sha256: str | None


def batch_rows(config: TokenizeConfig) -> int:
    """Rows of a record batch, fewer where a shard is small.

    Args:
        config: Size of a shard, longest row, columns.
    """
    return max(1, min(ROWS_PER_BATCH, _shard_tokens(config) // config.max_row_tokens))


def _shard_tokens(config: TokenizeConfig) -> int:
    columns = 3 if config.position_ids else 2
    return config.shard_mb * MIB // (4 * columns)


def write_shards(run: StageRun, rows: _rust.PackedRows, config: TokenizeConfig) -> list[Shard]:
    """Writes shards while rows come, and leaves those finished in the run's work folder.

    Args:
        run: Shards that an earlier run finished are there already and are not written again.
        rows: Taken to their end, and closed: whoever gives records is told where this fails.
        config: Size of a shard, columns.

    Returns:
        The shards.

    Notes:
        A shard ends where the next batch might not fit into it, so where shards end depends on
        nothing that comes after.
    """
    shards: list[Shard] = []
    with closing(rows):
        while True:
            finished = run.work / _work_name(len(shards))
            if finished.exists():
                shard = _skip_shard(rows, config)
            else:
                part = run.scratch / finished.name
                shard = _write_shard(part, rows, config)
                if shard.num_rows and shard.is_whole:
                    part.rename(finished)
            if not (shard.num_rows and shard.is_whole):
                return shards
            shards.append(shard)


def count_rows(rows: _rust.PackedRows, config: TokenizeConfig) -> list[Shard]:
    """The shards that there would be.

    Args:
        rows: Taken to their end.
        config: Size of a shard, columns.
    """
    shards = []
    with closing(rows):
        while (shard := _skip_shard(rows, config)).num_rows:
            shards.append(shard)
    return shards


def place_shards(run: StageRun, shards: list[Shard], config: TokenizeConfig) -> None:
    """Names the finished shards and writes `dataset_info.json` and `state.json`.

    Args:
        run: Whose work folder has the shards.
        shards: All of them.
        config: Columns.
    """
    names = [f"data-{at:05d}-of-{len(shards):05d}.arrow" for at in range(len(shards))]
    for at, (name, shard) in enumerate(zip(names, shards, strict=True)):
        _place(run.work / _work_name(at), run.folder / name)
        if shard.sha256 is not None:
            run.digests[name] = shard.sha256
    _describe(run.folder, names, config, _fingerprint(run, names))


def _work_name(number: int) -> str:
    return f"data-{number:05d}.arrow"


def _fingerprint(run: StageRun, names: list[str]) -> str:
    """By which `datasets` tells data sets apart in its cache."""
    inputs: list[Any] = [vars(file) for file in run.pool.inputs()]
    # Tables in memory have no digest: there the shards say what they are.
    said = inputs or [file_sha256(run.folder / name) for name in names]
    options = [run.config.model_dump(mode="json"), run.pool.options.model_dump(mode="json")]
    key = json.dumps([lmmixup.__version__, options, said], sort_keys=True)
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _place(finished: Path, target: Path) -> None:
    try:
        target.hardlink_to(finished)
    except OSError:
        shutil.copyfile(finished, target)


def _write_shard(path: Path, rows: _rust.PackedRows, config: TokenizeConfig) -> Shard:
    schema = shard_schema(positions=config.position_ids)
    num_rows = 0
    with path.open("wb") as file:
        digested = _Digested(file)
        with ipc.new_stream(pa.PythonFile(digested, "w"), schema) as writer:
            for count, batch in _batches(rows, config, make=True):
                columns = pa.record_batch(batch).columns
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
                num_rows += count
    return Shard(num_rows, not rows.is_broken, digested.sha256.hexdigest())


def _skip_shard(rows: _rust.PackedRows, config: TokenizeConfig) -> Shard:
    num_rows = sum(count for count, _ in _batches(rows, config, make=False))
    return Shard(num_rows, not rows.is_broken, None)


def _batches(
    rows: _rust.PackedRows, config: TokenizeConfig, *, make: bool
) -> Iterator[tuple[int, Any]]:
    """The batches of a shard, with their numbers of rows."""
    last = _shard_tokens(config) - batch_rows(config) * config.max_row_tokens
    num_tokens = 0
    while num_tokens <= last or not num_tokens:
        taken = rows.next_batch(make)
        if taken is None:
            return
        count, tokens, batch = taken
        num_tokens += tokens
        yield count, batch


class _Digested:
    """A file that takes the digest of what is written to it, while that is at hand."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: pa.Buffer | bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """The file is closed by who opened it."""


def shard_schema(*, positions: bool) -> pa.Schema:
    """Columns of a shard, with the features that `datasets` reads from its metadata."""
    names = column_names(positions=positions)
    features = {"info": {"features": _features(names)}}
    fields = [pa.field(name, pa.list_(pa.int32())) for name in names]
    return pa.schema(fields, {"huggingface": json.dumps(features)})


def column_names(*, positions: bool) -> list[str]:
    """Names of the columns, in their order."""
    return ["input_ids", "labels", "seq_lengths", *(["position_ids"] if positions else [])]


def _features(names: list[str]) -> dict[str, Any]:
    value = {"dtype": "int32", "_type": "Value"}
    # `Sequence` is what every version of `datasets` reads.
    return {name: {"feature": value, "_type": "Sequence"} for name in names}


def _describe(folder: Path, names: list[str], config: TokenizeConfig, fingerprint: str) -> None:
    columns = column_names(positions=config.position_ids)
    info = {
        "citation": "",
        "description": "",
        "features": _features(columns),
        "homepage": "",
        "license": "",
    }
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    for name, value in (("dataset_info.json", info), ("state.json", state)):
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")
