"""The stage contract: whole outputs or none, counts that add up, work that survives a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lmmixup.cli import cli
from lmmixup.errors import CountsError, FileError, OutputExistsError
from lmmixup.partial import PartialFolder
from lmmixup.stage import InputFile, InterruptedWhenDoneError, StageConfig, StageRun

SCHEMA = pa.schema([pa.field("id", pa.string())])


class Config(StageConfig):
    """A config."""

    threshold: float = 0.5
    """A number."""


@dataclass
class FakeReject:
    line: int

    def to_dict(self) -> dict[str, Any]:
        return {"file": "a", "line": self.line, "reason": "broken", "message": "m", "raw": "{"}


@dataclass
class FakePool:
    rejects: list[FakeReject] = field(default_factory=list)
    digest: str = "0" * 64
    options: Config = field(default_factory=Config)

    def inputs(self) -> list[InputFile]:
        return [InputFile("a.jsonl", self.digest, 1)]


def rows(*ids: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(ids, pa.string())], schema=SCHEMA)


def write(output: Path, *, kept: int = 3, **options: Any) -> StageRun:
    pool = options.pop("pool", FakePool())
    with StageRun("fake", output, config=Config(), pool=pool, **options) as run:
        data = run.writer("data.parquet", SCHEMA)
        data.write(rows("a", "b", "c"))
        run.counts.input, run.counts.kept = 4, kept
        run.drop(pa.array(["d"]), "copy", against=pa.array(["a"]))
        run.figures["share"] = 0.25
    return run


def test_writes_a_whole_folder(tmp_path: Path) -> None:
    run = write(tmp_path / "out", pool=FakePool([FakeReject(7)]))
    assert run.result.path == tmp_path / "out"
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["data.parquet", "dropped.parquet", "manifest.json", "rejects.jsonl"]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["counts"]["dropped"] == {"copy": 1}
    assert manifest["counts"]["rejected"] == {"broken": 1}
    assert manifest["counts"]["input"] == 5
    assert manifest["outputs"]["data.parquet"]["num_records"] == 3
    dropped = pq.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    assert dropped == [{"id": "d", "reason": "copy", "against": "a", "detail": None}]
    assert os.listdir(tmp_path) == ["out"]


def test_counts_that_do_not_add_up_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(CountsError, match="4 records came in but 3 have an outcome"):
        write(tmp_path / "out", kept=2)
    assert os.listdir(tmp_path) == []


def test_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_existing_output_is_not_touched(tmp_path: Path) -> None:
    write(tmp_path / "out")
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write(tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    write(tmp_path / "out", overwrite=True, pool=FakePool(digest="1" * 64))
    assert (tmp_path / "out" / "manifest.json").read_bytes() != before
    assert os.listdir(tmp_path) == ["out"]


def test_failed_overwrite_keeps_the_old_output(tmp_path: Path) -> None:
    write(tmp_path / "out")
    with pytest.raises(CountsError):
        write(tmp_path / "out", kept=0, overwrite=True)
    assert (tmp_path / "out" / "data.parquet").exists()


def test_output_whose_parent_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"Not a directory; .* was not written"):
        write(tmp_path / "file" / "out")


def test_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    with (
        pytest.raises(FileError, match=r"No space left on device; .*out was not written"),
        StageRun("fake", tmp_path / "out", config=Config(), pool=FakePool()),
    ):
        with open("/dev/full", "w") as file:
            file.write("x" * 100_000)
    assert not (tmp_path / "out").exists()


def test_another_config_does_not_find_the_work(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        StageRun("fake", tmp_path / "out", config=Config(), pool=FakePool()) as run,
    ):
        (run.work / "piece").write_text("done")
        raise RuntimeError
    other = Config(threshold=0.6)
    with StageRun("fake", tmp_path / "out", config=other, pool=FakePool()) as run:
        assert not (run.work / "piece").exists()


def interrupt_when_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes as soon as the output is there."""
    move = PartialFolder.move_into_place

    def move_and_interrupt(self: PartialFolder) -> None:
        move(self)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(PartialFolder, "move_into_place", move_and_interrupt)


def test_ctrl_c_comes_too_late_for_an_output_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_when_in_place(monkeypatch)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedWhenDoneError, match="out was complete before") as late:
        write(tmp_path / "out")
    assert late.value.result.counts["kept"] == 3
    assert os.listdir(tmp_path) == ["out"]
    assert signal.getsignal(signal.SIGINT) is before


def test_the_command_says_what_it_made_when_ctrl_c_came_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_when_in_place(monkeypatch)
    pool = tmp_path / "rated.jsonl"
    pool.write_text('{"prompt": "a", "completion": "b", "rating": 5}\n')
    done = CliRunner().invoke(cli, ["split", str(pool), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "records in" in done.output
    assert "interrupted" not in done.output
    assert (tmp_path / "out" / "manifest.json").exists()


def test_the_old_output_comes_back_where_the_new_one_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "out")
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    rename = Path.rename

    def fail_for_the_new_one(self: Path, target: Path) -> Path:
        if self.name == "out" and self.parent.name == ".out.partial":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(FileError, match="Input/output error"):
        write(tmp_path / "out", overwrite=True, pool=FakePool(digest="1" * 64))
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    assert os.listdir(tmp_path) == ["out"]


def test_what_a_run_killed_between_two_renames_moved_aside_comes_back(tmp_path: Path) -> None:
    write(tmp_path / "out")
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / "out").rename(tmp_path / ".out.partial" / "old")
    with pytest.raises(OutputExistsError, match="exists already"):
        write(tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").exists()
    assert os.listdir(tmp_path) == ["out"]


def test_an_output_that_another_run_finished_meanwhile_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = PartialFolder.take

    def take_late(self: PartialFolder) -> None:
        if not (tmp_path / "out").exists():
            monkeypatch.setattr(PartialFolder, "take", take)
            write(tmp_path / "out")
        take(self)

    monkeypatch.setattr(PartialFolder, "take", take_late)
    with pytest.raises(OutputExistsError, match="exists already"):
        write(tmp_path / "out", pool=FakePool(digest="1" * 64))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["inputs"][0]["sha256"] == "0" * 64


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_stage import Config, FakePool, StageRun
with StageRun("fake", Path(sys.argv[1]), config=Config(), pool=FakePool()) as run:
    if (run.work / "piece").exists():
        sys.exit(7)
    (run.work / "piece").write_text("done")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_work_survives_a_kill_and_the_lock_does_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(out), os.path.dirname(__file__)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(OutputExistsError, match="another run"):
        write(out)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not out.exists()
    assert subprocess.run(command, check=False).returncode == 7
