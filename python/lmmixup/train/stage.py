"""The stage `train`: a MIXTURE folder in, a trained mixer out."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup.errors import ArgumentError, OutputExistsError
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import StageResult, StageRun
from lmmixup.train import checkpoint, log, universal
from lmmixup.train.card import write_card
from lmmixup.train.checks import check, open_rewards
from lmmixup.train.config import GrpoConfig
from lmmixup.train.curves import draw_curves
from lmmixup.train.export import write_model
from lmmixup.train.job import FINAL, Job
from lmmixup.train.launch import command, launch
from lmmixup.train.model import is_gguf, unpack_gguf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lmmixup.train.config import TrainConfig
    from lmmixup.train.packed import Data
    from lmmixup.train.rows import Kept


def run(
    data: Data,
    config: TrainConfig,
    *,
    output: str | Path,
    overwrite: bool = False,
    reporter: Reporter = SILENT,
    show: Callable[[str], None] = lambda _line: None,
) -> StageResult:
    """Trains a mixer.

    Args:
        data: What `open_data` opened for this kind of training.
        config: `SftConfig` or `GrpoConfig`.
        output: Folder to make.
        overwrite: Replace an output that exists, and the work of another run of that name.
        reporter: Where sentences go that a person should read.
        show: Takes the lines of the table, one each `log_every` updates.

    Returns:
        The finished folder: the model as transformers and vLLM load it, its tokenizer,
        `README.md` (card), `log.jsonl`, `curves.png`, `tensorboard/`, `dropped.parquet`,
        `manifest.json`.

    Raises:
        LmmixupError: Something is wrong, said before training where it can be known.
        TrainError: A process failed, or the loss was no finite number.
        OutputExistsError: The output exists, or holds the work of another run, and `overwrite` is
            false.

    Notes:
        A run that was killed goes on from its last whole checkpoint: step, order of the samples,
        optimiser, learning rate and random numbers are those that it had.

    Source:
        METHOD §3, §5.
    """
    with _run_of(data, config, output, overwrite=overwrite, reporter=reporter) as open_run:
        job = prepare(open_run, data, config, is_here=True)
        if not job.final.exists():
            _train(job, reporter, show)
        _finish(open_run, job, data)
    return open_run.result


class _Prepared(Exception):  # noqa: N818
    """Leaves a run unfinished, its work kept."""


def prepare_only(
    data: Data,
    config: TrainConfig,
    *,
    output: str | Path,
    overwrite: bool = False,
    reporter: Reporter = SILENT,
) -> list[str]:
    """Checks everything and writes the job, for people who start processes themselves.

    Args:
        data: As for `run`.
        config: As for `run`.
        output: As for `run`.
        overwrite: As for `run`.
        reporter: As for `run`.

    Returns:
        The command that starts the processes on this machine. When they are done, `run` with the
        same arguments makes the finished folder.
    """
    made: list[str] = []
    try:
        with _run_of(data, config, output, overwrite=overwrite, reporter=reporter) as open_run:
            made.append(shlex.join(command(prepare(open_run, data, config, is_here=False))))
            raise _Prepared
    except _Prepared:
        return made


def _run_of(
    data: Data,
    config: TrainConfig,
    output: str | Path,
    *,
    overwrite: bool,
    reporter: Reporter,
) -> StageRun:
    kind = data.kind
    if isinstance(config, GrpoConfig) != (kind == "grpo"):
        raise ArgumentError(f"{type(config).__name__} cannot train on the part for {kind}")
    run = StageRun(
        f"train {kind}", output, config=config, pool=data, overwrite=overwrite,
        reporter=reporter,
    )  # fmt: skip
    _refuse_other(run)
    return run


def prepare(open_run: StageRun, data: Data, config: TrainConfig, *, is_here: bool) -> Job:
    """Checks everything, gives each sample its outcome, and writes the job's file.

    Args:
        open_run: The run.
        data: What to train on.
        config: What to do.
        is_here: Whether the processes would run on this machine.

    Returns:
        The job, ready for its processes.
    """
    if config.cpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed warns of no GPU
    is_trained = (open_run.work / FINAL).exists()
    kept = check(data, config, open_run.reporter, is_here=is_here and not is_trained)
    _count(open_run, data, kept)
    checkpoint.tidy(open_run.work / "checkpoints")
    log.mend(open_run.work / "log.jsonl")
    model = config.model
    if is_gguf(model):
        model = str(unpack_gguf(model, open_run.work.absolute() / "model"))
    job = Job(data.kind, config, data.path, model, open_run.work.absolute())
    job.save()
    said = None if is_trained else universal.fit(job)
    if said is not None:
        open_run.reporter.note(said)
    return job


def _train(job: Job, reporter: Reporter, show: Callable[[str], None]) -> None:
    resumed = checkpoint.last_whole(job.checkpoints)
    if resumed is not None:
        reporter.note(f"going on from {resumed.name}")
    if job.config.processes > 1 or job.config.zero:
        reporter.note(shlex.join(command(job)))
        launch(job, show)
        return
    from lmmixup.train.worker import train  # noqa: PLC0415

    train(job, show)


_LAYOUT = {"zero", "offload"}
"""Settings by which the state in a checkpoint is laid out."""


def _refuse_other(run: StageRun) -> None:
    """Keeps hours of training from being replaced because an option changed."""
    earlier = run.earlier_key()
    if earlier is None or run.overwrite or earlier == run.key():
        return
    differs = _differences(earlier, run.key())
    hint = "name another folder, or start anew with --overwrite"
    last = checkpoint.last_whole(run.work / "checkpoints")
    if last is not None and not _LAYOUT.isdisjoint(name for name, _, _ in differs):
        hint = (
            "a checkpoint goes on with the ZeRO stage and the offload that it was made with; "
            f"`lmmixup train export {last} -o MODEL` makes a model of it to start anew from"
        )
    said = "; ".join(f"{name} {old!r} there, {new!r} now" for name, old, new in differs[:3])
    raise OutputExistsError(f"{run.output}: holds the work of another run ({said}); hint: {hint}")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for name in sorted({*old, *new}):
        before, now = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            found += _differences(before, now)
        elif before != now:
            found.append((name, before, now))
    return found


def _count(open_run: StageRun, data: Data, kept: Kept) -> None:
    num_samples = data.num_samples
    open_run.counts.input = num_samples
    open_run.counts.kept = len(kept.rows)
    open_run.counts.leftover = num_samples - len(kept.rows) - len(kept.dropped)
    ids, details = zip(*kept.dropped, strict=True) if kept.dropped else ((), ())
    open_run.drop(pa.array(ids, pa.string()), "too long", details=pa.array(details, pa.string()))


def _finish(open_run: StageRun, job: Job, data: Data) -> None:
    """Makes the finished folder of what the processes left."""
    config = job.config
    with checkpoint.saving("the finished model", job.checkpoints):
        write_model(
            job.final, open_run.folder, dtype=_saved_dtype(job), merge_lora=config.merge_lora
        )
    entries = log.read(job.log)
    (open_run.folder / "log.jsonl").write_text(
        "".join(json.dumps(entry) + "\n" for entry in entries)
    )
    draw_curves(job.kind, entries, open_run.folder / "curves.png")
    tracked = job.work / "tensorboard"
    if tracked.is_dir():
        shutil.copytree(tracked, open_run.folder / "tensorboard")
    open_run.figures |= json.loads((job.final / "trained.json").read_text())
    open_run.figures |= {
        "micro_batch_size": config.micro_batch_size,
        "accumulation": config.accumulation,
        **_last_figures(entries),
    }
    if isinstance(config, GrpoConfig):
        open_run.figures["rewards"] = open_rewards(config).describe()
    write_card(open_run.folder, data.options.part, config, data.inputs(), open_run.figures)


def _saved_dtype(job: Job) -> str:
    from transformers import AutoConfig  # noqa: PLC0415

    own = getattr(AutoConfig.from_pretrained(job.model), "dtype", None)
    return str(own).removeprefix("torch.") if own is not None else "float32"


def _last_figures(entries: list[dict[str, Any]]) -> dict[str, float]:
    """Figures of the last step, and of the last evaluation."""
    steps = [entry for entry in entries if "loss" in entry]
    evaluations = [entry for entry in entries if any(key.startswith("eval_") for key in entry)]
    last = (steps[-1] if steps else {}) | (evaluations[-1] if evaluations else {})
    return {key: value for key, value in sorted(last.items()) if key not in _NO_FIGURES}


_NO_FIGURES = {"step", "epoch", "num_tokens", "tokens_per_s", "step_time", "learning_rate"}
