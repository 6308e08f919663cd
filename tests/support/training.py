"""`lmmixup train` as tests call it: on the CPU, with short sequences, stopped on purpose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from lmmixup.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pytest
    from click.testing import Result

ROOT = Path(__file__).resolve().parents[2]

STEPS = ("--max-steps", "5", "--batch-size", "4", "--save-every", "2", "--learning-rate", "0.003")
"""A short training, and what of it two processes do at once."""

TWO = ("--processes", "2", "--micro-batch-size", "2")

KILLER = '''
"""Ends the named process by SIGKILL when its time has come."""
import os, signal, threading, time
if os.environ.get("RANK") == os.environ["KILL_RANK"] and os.environ.get("TORCHELASTIC_RUN_ID"):
    def watch():
        work, when = os.environ["KILL_WORK"], os.environ["KILL_WHEN"]
        log, saving = os.path.join(work, "log.jsonl"), os.path.join(work, "checkpoints/.saving")
        def steps():
            return open(log).read().count('"loss"') if os.path.exists(log) else 0
        before = steps()
        while True:
            if when == "step 3":
                due = steps() >= 3
            elif when == "saving checkpoint 4":
                due = os.path.exists(os.path.join(saving, "checkpoint-4"))
            else:
                due = steps() > before
            if due:
                time.sleep(float(os.environ["KILL_AFTER_S"]))
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.002)
    threading.Thread(target=watch, daemon=True).start()
'''
"""Code of `at_start`: what KILL_RANK, KILL_WHEN, KILL_AFTER_S and KILL_WORK say is done."""


def invoke(kind: str, output: Path, paths: dict[str, Any], *options: str) -> Result:
    """`lmmixup train KIND` on the CPU with the smallest batches."""
    if kind == "sft":
        paths = {key: value for key, value in paths.items() if key != "library"}
        own = ["--max-sequence-tokens", "2048"]
    else:
        own = ["--max-output-tokens", "12", "--max-prompt-tokens", "1024"]
    named = [part for key, value in paths.items() for part in (f"--{key}", str(value))]
    given = ["train", kind, "-o", str(output), *named, "--cpu", *own, *options]
    return CliRunner().invoke(cli, given)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The steps of a training's log."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [entry for entry in entries if "loss" in entry]


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Has a training in this process end by an error when a step is logged."""
    from lmmixup.train.trainer import Guarded

    before = Guarded.log

    def log(self: Any, logs: dict[str, float], start_time: float | None = None) -> None:
        before(self, logs, start_time)
        if self.state.global_step == steps:
            raise RuntimeError("stopped")

    monkeypatch.setattr(Guarded, "log", log)


def command(kind: str, out: Path, paths: Mapping[str, Any], *options: str) -> list[str]:
    """`lmmixup train KIND` on the CPU as a command of its own."""
    named = [part for key, value in paths.items() for part in (f"--{key}", str(value))]
    return [sys.executable, "-m", "lmmixup", "train", kind, "-o", str(out), *named, "--cpu", "-q",
            *options]  # fmt: skip


def start(
    given: list[str], *, search: Iterable[Path] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; `search` comes first in Python's path."""
    env = {**os.environ, **more}
    folders = [str(folder) for folder in search]
    env["PYTHONPATH"] = os.pathsep.join([*folders, env.get("PYTHONPATH", "")])
    return subprocess.run(given, env=env, text=True, capture_output=True, check=False)


def at_start(folder: Path, code: str) -> Path:
    """A folder for `search` whose code each Python runs when it starts."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return folder
