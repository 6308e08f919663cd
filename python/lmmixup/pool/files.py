"""Finds the files behind what a user calls a pool, and what each of them is."""

from __future__ import annotations

import glob
import json
import shutil
import stat
import sys
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from lmmixup.errors import DataError, FileError

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["text", "parquet", "arrow_file", "arrow_stream"]

_TEXT_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
_ARROW_ENDINGS = (".arrow", ".feather", ".ipc")
_PACKED_ENDINGS = (".gz", ".zst", ".zstd")


@dataclass(frozen=True)
class PoolFile:
    """One file of a pool.

    Attributes:
        name: The file as the user named it, for messages.
        path: Where its bytes are (a temporary file for pipes).
        kind: What it is.
        label: The source of its records where they name none.
    """

    name: str
    path: Path
    kind: Kind
    label: str


class Spool:
    """Temporary copies of pipes, so that a pool can be read more than once."""

    def copy(self, stream: IO[bytes]) -> Path:
        """Copies a stream to a temporary file that lives as long as the spool."""
        copy = tempfile.NamedTemporaryFile(prefix="lmmixup-pool-")  # noqa: SIM115
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.flush()
        weakref.finalize(self, copy.close)
        return Path(copy.name)


def find_files(sources: Iterable[str | Path], spool: Spool) -> list[PoolFile]:
    """All files of a pool, in order.

    Args:
        sources: Files, globs, folders, or `-` for standard input.
        spool: Takes copies of pipes.

    Returns:
        The files; a glob's in the order of their names.

    Raises:
        FileError: A source is not there or cannot be read.
        DataError: A source is a folder of no known kind, or not what its name says.
    """
    files: list[PoolFile] = []
    for source in sources:
        files.extend(_expand(source, spool))
    return files


def _expand(source: str | Path, spool: Spool) -> list[PoolFile]:
    if source == "-":
        return [_pipe("<stdin>", "stdin", spool.copy(sys.stdin.buffer))]
    path = Path(source)
    if not path.exists() and glob.has_magic(str(source)):
        found = sorted(glob.glob(str(source), recursive=True))  # noqa: PTH207 absolute patterns too
        if not found:
            raise FileError(f"{source}: expected files of this pattern, got none")
        return [file for one in found for file in _expand(one, spool)]
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise FileError(f"{source}: {error.strerror}; is the path right?") from None
    if stat.S_ISDIR(mode):
        return _folder(path)
    if not stat.S_ISREG(mode):
        with path.open("rb") as stream:
            return [_pipe(str(source), path.name, spool.copy(stream))]
    return [_file(path)]


def _pipe(name: str, label: str, copy: Path) -> PoolFile:
    if copy.stat().st_size == 0:
        raise DataError(f"{name}: expected records, got an empty stream")
    return PoolFile(name, copy, _kind_of(name, "", copy), label)


def _file(path: Path, label: str | None = None) -> PoolFile:
    return PoolFile(str(path), path, _kind_of(str(path), path.name, path), label or stem(path))


def stem(path: Path) -> str:
    """The file's name without endings of compression and format."""
    name = path.name
    for endings in (_PACKED_ENDINGS, (*_TEXT_ENDINGS, *_ARROW_ENDINGS, ".parquet")):
        for ending in endings:
            if name.lower().endswith(ending) and len(name) > len(ending):
                name = name[: -len(ending)]
                break
    return name


def _kind_of(name: str, file_name: str, path: Path) -> Kind:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise FileError(f"{name}: {error.strerror}; can you read it?") from None
    lower = file_name.lower()
    if not head:
        raise DataError(f"{name}: expected records, got an empty file; leave it out")
    kind: Kind = "text"
    if head.startswith(b"PAR1"):
        kind = "parquet"
    elif head.startswith(b"ARROW1"):
        kind = "arrow_file"
    elif head.startswith(b"\xff\xff\xff\xff"):
        kind = "arrow_stream"
    if lower.endswith(".parquet") and kind != "parquet":
        raise DataError(
            f"{name}: expected a Parquet file, got one that begins {head[:4]!r}; rename it"
        )
    if lower.endswith(_ARROW_ENDINGS) and not kind.startswith("arrow"):
        raise DataError(
            f"{name}: expected an Arrow file, got one that begins {head[:4]!r}; rename it"
        )
    if lower.endswith(_TEXT_ENDINGS):
        return "text"
    return kind


def _folder(path: Path) -> list[PoolFile]:
    if (path / "manifest.json").exists() and (path / "data.parquet").exists():
        return [_file(path / "data.parquet", path.name)]
    if (path / "state.json").exists():
        return _hf_dataset(path)
    if (path / "dataset_dict.json").exists():
        splits = _splits(path / "dataset_dict.json")
        if len(splits) == 1:
            return _hf_dataset(path / splits[0])
        raise DataError(
            f"{path}: expected one split of a dataset, got {', '.join(splits)}; "
            f"name one, as {path / splits[0]}"
        )
    shards = sorted(path.rglob("*.parquet"))
    if shards:
        return [_file(shard, path.name) for shard in shards]
    names = sorted(entry.name for entry in path.iterdir())[:5]
    raise DataError(
        f"{path}: expected a file, a result folder, a saved dataset or a folder of .parquet files, "
        f"got a folder with {', '.join(names) or 'nothing'}; name files, as '{path}/*.jsonl'"
    )


def _splits(file: Path) -> list[str]:
    try:
        return [str(split) for split in json.loads(file.read_text())["splits"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}: expected the splits of a dataset, got {error!r}") from None


def _hf_dataset(path: Path) -> list[PoolFile]:
    try:
        state = json.loads((path / "state.json").read_text())
        names = [entry["filename"] for entry in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}/state.json: expected a saved dataset, got {error!r}") from None
    if state.get("_indices_data_files"):
        raise DataError(
            f"{path}: expected a dataset without an index table; save it after flatten_indices()"
        )
    return [_file(path / name, path.name) for name in names]
