"""Going on with another number of processes, by DeepSpeed's universal checkpoint.

ZeRO cuts weights and optimiser into one part for each process. The order of the samples and what
an update takes do not depend on their number, so nothing else has to change.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from lmmixup.errors import TrainError
from lmmixup.train import checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.train.job import Job

_MAX_WORKERS = 4


def resume_from(job: Job) -> Path | None:
    """The checkpoint that a job goes on from, or `None`.

    Args:
        job: Its work may hold checkpoints.

    Returns:
        The last whole one. Where ZeRO cut it for another number of processes, the folder of its
        universal form, which `fit` makes.
    """
    last = checkpoint.last_whole(job.checkpoints)
    if last is None or not job.config.zero:
        return last
    is_fitting = checkpoint.describe(last)["processes"] == job.config.processes
    return last if is_fitting else job.universal / last.name


def is_universal(job: Job, folder: Path | None) -> bool:
    """Whether a folder of `resume_from` is in the universal form."""
    return folder is not None and folder.parent == job.universal


def fit(job: Job) -> str | None:
    """Makes the universal form of the last checkpoint where the job needs it.

    Args:
        job: What is to be done.

    Returns:
        What was done, for people; `None` where there was nothing to do.

    Raises:
        TrainError: It could not be made; the checkpoint stays as it was.

    Notes:
        Takes as much disk as the checkpoint. It goes when the training goes on without it.
    """
    folder = resume_from(job)
    if folder is None or not is_universal(job, folder):
        shutil.rmtree(job.universal, ignore_errors=True)
        return None
    if checkpoint.is_whole(folder):
        return None
    source = job.checkpoints / folder.name
    _convert(source, job)
    before = checkpoint.describe(source)["processes"]
    return f"{source.name} was of {before} processes, made ready for {job.config.processes}"


def _convert(source: Path, job: Job) -> None:
    made = checkpoint.saving_folder(job.universal) / source.name
    shutil.rmtree(made, ignore_errors=True)
    tag = (source / "latest").read_text().strip()
    others = shutil.ignore_patterns(tag, "latest", checkpoint.MARKER)
    shutil.copytree(source, made, ignore=others)
    workers = str(min(_MAX_WORKERS, os.cpu_count() or 1))
    arguments = [
        "--input_folder", str(source / tag), "--output_folder", str(made / f"{tag}_universal"),
        "--num_extract_workers", workers, "--num_merge_workers", workers,
        "--inject_missing_state",
    ]  # fmt: skip
    output = job.work / "universal.log"
    with output.open("w") as file:
        done = subprocess.run(  # noqa: S603  (DeepSpeed's module, our folders)
            [sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal", *arguments],
            stdout=file, stderr=file, check=False,
        )  # fmt: skip
    if done.returncode:
        raise TrainError(
            f"{source}: could not be made ready for {job.config.processes} processes, see "
            f"{output}; hint: go on with {checkpoint.describe(source)['processes']}"
        )
    step = checkpoint.describe(source)["step"]
    checkpoint.seal(job.universal, step, {"processes": job.config.processes})
