"""Starts the processes of a training, watches them, and says what went wrong in them.

The launcher is torchrun, which the launchers of accelerate and DeepSpeed use too.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmmixup.errors import TrainError
from lmmixup.train import checkpoint, log

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmmixup.train.job import Job

_POLL_S = 0.2
_PR_SET_PDEATHSIG = 1


def command(job: Job) -> list[str]:
    """The command that starts the processes of a job, for people with their own scheduler."""
    count = str(job.config.processes)
    torchrun = ["torchrun", "--standalone", "--nproc-per-node", count]
    return [*torchrun, "-m", "lmmixup.train", str(job.file)]


def launch(job: Job, show: Callable[[str], None]) -> None:
    """Runs the processes of a job to their end.

    Args:
        job: What to do.
        show: Takes lines of the table.

    Raises:
        TrainError: A process failed or was killed.

    Notes:
        No process outlives this one, however it ends. What they print goes to `launch.log`.
    """
    shutil.rmtree(job.errors, ignore_errors=True)
    job.errors.mkdir()
    shown = _Table(job, show)
    # `agent` is torchrun that ends with us; ours, since torchrun itself would stay.
    arguments = [sys.executable, "-m", "lmmixup.train.agent", *command(job)[1:]]
    output = job.work / "launch.log"
    with output.open("w") as file:
        process = subprocess.Popen(  # noqa: S603  (our own module and file)
            arguments, stdout=file, stderr=file, env=_environment(job)
        )
        try:
            while process.poll() is None:
                shown.update()
                time.sleep(_POLL_S)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    shown.update()
    if process.returncode:
        raise _failure(job, output)


def report_failure(job: Job, error: BaseException, text: str, *, is_ours: bool) -> None:
    """Leaves word of a failed process for the one that launched it.

    Args:
        job: What it did.
        error: Why it failed.
        text: Traceback.
        is_ours: Whether the message was written for users.
    """
    rank = os.environ.get("RANK", "0")
    said = {"rank": rank, "message": str(error), "kind": type(error).__name__, "ours": is_ours}
    job.errors.mkdir(exist_ok=True)
    (job.errors / f"rank-{rank}.txt").write_text(text)
    (job.errors / f"rank-{rank}.json").write_text(json.dumps(said) + "\n")


def end_with_parent() -> None:
    """Has the system kill this process when the one that started it ends, however it ends."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


class _Table:
    """Shows what the first process adds to the log."""

    def __init__(self, job: Job, show: Callable[[str], None]) -> None:
        self._job, self._show = job, show
        self._read = job.log.stat().st_size if job.log.exists() else 0
        self._is_empty = True

    def update(self) -> None:
        if not self._job.log.exists():
            return
        with self._job.log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for text in whole.splitlines():
            self._add(json.loads(text))

    def _add(self, entry: dict[str, Any]) -> None:
        line = log.line(self._job.kind, entry)
        if line is None:
            return
        if self._is_empty:
            self._show(log.heading(self._job.kind))
            self._is_empty = False
        self._show(line)


def _environment(job: Job) -> dict[str, str]:
    threads = max(1, (os.cpu_count() or 1) // job.config.processes)
    # DeepSpeed compiles its CPU operations with ninja, which an environment that is not activated
    # has beside its Python.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {"OMP_NUM_THREADS": str(threads), **os.environ, "PATH": path}


def _failure(job: Job, output: Path) -> TrainError:
    said = [json.loads(path.read_text()) for path in sorted(job.errors.glob("*.json"))]
    ours = [one for one in said if one["ours"]]
    if ours:
        return TrainError(ours[0]["message"])
    last = checkpoint.last_whole(job.checkpoints)
    goes_on = f"from {last.name}" if last else "from the start"
    why = "a process was killed"
    if said:
        first = said[0]
        message = first["message"].split("\n", maxsplit=1)[0]
        why = f"process {first['rank']} failed, or lost another: {first['kind']}: {message}"
    return TrainError(f"{why}; see {output}; the same command continues {goes_on}")
