"""`lmmixup train` as tests call it: on the CPU, with short sequences, stopped on purpose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from lmmixup.cli import cli

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from click.testing import Result


def invoke(kind: str, output: Path, paths: dict[str, Any], *options: str) -> Result:
    """`lmmixup train KIND` on the CPU with the smallest batches."""
    if kind == "sft":
        paths = {key: value for key, value in paths.items() if key != "library"}
        own = ["--max-tokens", "2048"]
    else:
        own = ["--max-completion-tokens", "12", "--max-prompt-tokens", "1024"]
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
