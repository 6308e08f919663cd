"""Checkpoints are whole or passed over, and old ones go only when a newer one is whole."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from lmmixup.train import checkpoint, log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write(folder: Path, step: int) -> Path:
    made = checkpoint.saving_folder(folder) / f"checkpoint-{step}"
    (made / "shards").mkdir(parents=True)
    (made / "shards" / "one.bin").write_bytes(b"12345")
    (made / "state.json").write_text("{}")
    return checkpoint.seal(folder, step, {"processes": 2})


def test_the_last_whole_one_is_taken(tmp_path: Path) -> None:
    assert checkpoint.last_whole(tmp_path / "none") is None
    for step in (9, 10, 100):
        write(tmp_path, step)
    assert checkpoint.last_whole(tmp_path) == tmp_path / "checkpoint-100"
    assert checkpoint.describe(tmp_path / "checkpoint-100")["processes"] == 2


@pytest.mark.parametrize("damage", ["marker", "file", "byte", "json"])
def test_a_half_one_is_never_taken(tmp_path: Path, damage: str) -> None:
    write(tmp_path, 1)
    last = write(tmp_path, 2)
    if damage == "marker":
        (last / checkpoint.MARKER).unlink()
    elif damage == "file":
        (last / "shards" / "one.bin").unlink()
    elif damage == "byte":
        (last / "shards" / "one.bin").write_bytes(b"1234")
    else:
        (last / checkpoint.MARKER).write_text('{"files": ')
    assert checkpoint.last_whole(tmp_path) == tmp_path / "checkpoint-1"
    checkpoint.tidy(tmp_path)
    assert not last.exists()


def test_what_was_being_saved_goes_and_old_ones_too(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step)
    half = checkpoint.saving_folder(tmp_path) / "checkpoint-4"
    half.mkdir(parents=True)
    assert checkpoint.last_whole(tmp_path) == tmp_path / "checkpoint-3"
    checkpoint.tidy(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-3"]


def test_a_half_newer_one_does_not_cost_a_whole_older_one(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (write(tmp_path, 2) / checkpoint.MARKER).unlink()
    checkpoint.tidy(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


CALLS = ("fsync", "rename", "unlink", "rmdir")
"""What sealing and tidying ask of the system, one after another."""


def killed_at(monkeypatch: pytest.MonkeyPatch, folder: Path, moment: int) -> bool:
    """Seals checkpoint 2 over checkpoint 1 until the call of that number; whether it came."""
    left = iter(range(moment))

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any, **kwargs: Any) -> Any:
            if next(left, None) is None:
                raise Killed
            return call(*args, **kwargs)

        return made

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, counted(getattr(os, name)))
        patch.setattr(type(folder), "write_text", counted(type(folder).write_text))
        try:
            write(folder, 2)
            checkpoint.tidy(folder, 1)
        except Killed:
            return True
    return False


def test_a_kill_at_any_moment_of_saving_leaves_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment, is_killed, found = 0, True, []
    while is_killed:
        folder = tmp_path / str(moment)
        write(folder, 1)
        is_killed = killed_at(monkeypatch, folder, moment)
        last = checkpoint.last_whole(folder)
        assert last is not None
        found.append(last.name)
        checkpoint.tidy(folder, 1)  # as the next start does
        assert [path.name for path in folder.iterdir()] == [last.name]
        assert checkpoint.is_whole(last)
        write(folder, 2)
        assert checkpoint.last_whole(folder) == folder / "checkpoint-2"
        moment += 1
    assert moment > 10
    assert set(found) == {"checkpoint-1", "checkpoint-2"}
    assert found == sorted(found)


def test_steps_that_were_done_again_are_once_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for step, loss in ((1, 5.0), (2, 4.0), (3, 3.0), (2, 4.5), (3, 3.5)):
        log.append(path, {"step": step, "loss": loss})
    log.append(path, log.entry_of({"eval_loss": 9, "text": "no", "bad": float("nan")}, 2))
    log.append(path, {"step": 3, "train_runtime": 1.0})
    read = log.read(path)
    assert [entry["loss"] for entry in read if "loss" in entry] == [5.0, 4.5, 3.5]
    assert {"step": 2, "eval_loss": 9} in read
    assert json.loads(path.read_text().splitlines()[0]) == {"step": 1, "loss": 5.0}


def test_a_line_that_a_full_disk_cut_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log.mend(path)
    assert not path.exists()
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    for _ in range(2):
        log.mend(path)
    log.append(path, {"step": 2, "loss": 1.0})
    assert [entry["loss"] for entry in log.read(path)] == [2.0, 1.0]


def test_the_table_lines_up() -> None:
    entry = {"step": 12, "loss": 1.5, "learning_rate": 1e-6, "tokens_per_s": 12345.0}
    line = log.line("sft", entry)
    assert line is not None
    assert len(line) == len(log.heading("sft"))
    assert "1.0e-06" in line
    assert "12,345" in line
    assert log.line("sft", {"step": 1, "train_runtime": 2}) is None
