"""Arrow shards in the layout that `datasets.load_from_disk` opens."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

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
"""Rows of a record batch, as `datasets` writes them."""


def write_shards(
    run: StageRun,
    chats: _rust.ChatPool,
    config: TokenizeConfig,
    num_rows: int,
    num_threads: int,
) -> None:
    """Writes `data-*.arrow`, `dataset_info.json` and `state.json`.

    Args:
        run: Its work folder keeps finished shards until all are there.
        chats: Packed rows.
        config: Size of a shard, columns.
        num_rows: Number of rows, at least one.
        num_threads: 0 takes all cores.

    Notes:
        A shard has a fixed number of rows, from its size and the average row.
    """
    columns = 3 if config.position_ids else 2
    row_bytes = max(1, chats.num_tokens * 4 * columns // num_rows)
    shard_rows = max(1, config.shard_mb * MIB // row_bytes)
    starts = range(0, num_rows, shard_rows)
    names = [f"data-{at:05d}-of-{len(starts):05d}.arrow" for at in range(len(starts))]
    for start, name in zip(starts, names, strict=True):
        finished = run.work / name
        end = min(num_rows, start + shard_rows)
        if not finished.exists():
            part = run.scratch / name
            _write_shard(part, chats, config, range(start, end), num_threads)
            part.rename(finished)
        run.reporter("write shards", end, num_rows)
    for name in names:
        _place(run.work / name, run.folder / name)
    _describe(run.folder, names, config, _fingerprint(run, names))


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


def _write_shard(
    path: Path, chats: _rust.ChatPool, config: TokenizeConfig, rows: range, num_threads: int
) -> None:
    schema = shard_schema(positions=config.position_ids)
    with pa.OSFile(str(path), "wb") as file, ipc.new_stream(file, schema) as writer:
        for batch in _batches(chats, config, rows, num_threads):
            columns = pa.record_batch(batch).columns
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _batches(
    chats: _rust.ChatPool, config: TokenizeConfig, rows: range, num_threads: int
) -> Iterator[Any]:
    """Batches of rows; the next one is made while one is written."""
    with ThreadPoolExecutor(1) as ahead:
        made = None
        for start in rows[::ROWS_PER_BATCH]:
            end = min(start + ROWS_PER_BATCH, rows.stop)
            coming = ahead.submit(chats.batch, start, end, config.position_ids, num_threads)
            if made is not None:
                yield made.result()
            made = coming
        if made is not None:
            yield made.result()


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
