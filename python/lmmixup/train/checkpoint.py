"""Checkpoints that are whole or not there.

A checkpoint is written aside as `.saving/checkpoint-N`; when every process is done, its
`whole.json` is written, with the size of each file, and the folder is renamed to `checkpoint-N`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lmmixup.errors import FileError, LmmixupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARKER = "whole.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def saving_folder(checkpoints: Path) -> Path:
    """Where a checkpoint is written until it is whole."""
    return checkpoints / ".saving"


def seal(checkpoints: Path, step: int, described: dict[str, Any]) -> Path:
    """Makes the checkpoint that was written aside a whole one.

    Args:
        checkpoints: Folder of all checkpoints.
        step: Its step.
        described: What the marker says beside the sizes, such as the number of processes.

    Returns:
        Its folder.

    Notes:
        All files are flushed to disk before the marker is, and the marker before the rename.
    """
    name = f"checkpoint-{step}"
    made, place = saving_folder(checkpoints) / name, checkpoints / name
    files = sorted(path for path in made.rglob("*") if path.is_file())
    for path in files:
        _flush(path)
    sizes = {path.relative_to(made).as_posix(): path.stat().st_size for path in files}
    marker = made / MARKER
    marker.write_text(json.dumps({"step": step, **described, "files": sizes}, indent=1) + "\n")
    _flush(marker)
    shutil.rmtree(place, ignore_errors=True)
    made.rename(place)
    _flush(checkpoints)
    return place


def last_whole(checkpoints: Path) -> Path | None:
    """The whole checkpoint of the highest step, or `None`.

    Args:
        checkpoints: Folder of all checkpoints; may be missing.

    Returns:
        Its folder. One whose marker is missing, or that lacks a file or a byte of it, is passed
        over.
    """
    found = sorted(_steps(checkpoints).items(), reverse=True)
    return next((folder for _, folder in found if is_whole(folder)), None)


def is_whole(folder: Path) -> bool:
    """Whether a checkpoint has all of its files in their sizes."""
    try:
        sizes: dict[str, int] = json.loads((folder / MARKER).read_text())["files"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def describe(folder: Path) -> dict[str, Any]:
    """What the marker of a whole checkpoint says."""
    described: dict[str, Any] = json.loads((folder / MARKER).read_text())
    return described


@contextmanager
def saving(what: str, checkpoints: Path) -> Iterator[None]:
    """Says what could not be saved, and from where the training goes on.

    Args:
        what: What is written inside.
        checkpoints: Folder of all checkpoints.

    Raises:
        FileError: Something failed inside. torch and safetensors tell a full disk by errors of
            their own kinds; those of other processes, which were lost, pass.
    """
    try:
        yield
    except LmmixupError:
        raise
    except Exception as error:
        if _lost_another(error):
            raise
        last = last_whole(checkpoints)
        goes_on = f"{last.name} is whole" if last else "there is no earlier checkpoint"
        why = str(error).split("\n", maxsplit=1)[0] or type(error).__name__
        free = shutil.disk_usage(checkpoints).free / 1e9
        raise FileError(
            f"{checkpoints}: {what} could not be saved: {why} ({free:.2f} GB are free there); "
            f"{goes_on}; hint: make room on the disk, then the same command continues"
        ) from error


def _lost_another(error: Exception) -> bool:
    """Whether an error is that of a collective whose other side is gone, by NCCL or gloo."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return "DistError" in kinds or "gloo" in str(error)


def tidy(checkpoints: Path, limit: int | None = None) -> None:
    """Removes what was not finished, and whole checkpoints beyond the last ones.

    Args:
        checkpoints: Folder of all checkpoints; may be missing.
        limit: How many whole ones stay, at least 1; `None` keeps all.
    """
    shutil.rmtree(saving_folder(checkpoints), ignore_errors=True)
    whole: list[Path] = []
    for _, folder in sorted(_steps(checkpoints).items(), reverse=True):
        if is_whole(folder) and (limit is None or len(whole) < limit):
            whole.append(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _steps(checkpoints: Path) -> dict[int, Path]:
    if not checkpoints.is_dir():
        return {}
    names = ((_NAME.fullmatch(path.name), path) for path in checkpoints.iterdir())
    return {int(name[1]): path for name, path in names if name}


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
