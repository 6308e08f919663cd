"""The commands of docs/training.md for people with a scheduler of their own, as they stand there.

Two "nodes" are two launches on this machine, each with one process.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from training import ROOT, STEPS, TWO, read_log

from lmmixup.train import SftConfig
from lmmixup.train.job import Job
from lmmixup.train.launch import command

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = ROOT / "docs" / "training.md"

SRUN = """#!/bin/bash
for _ in 1 2; do "$1" --local-addr 127.0.0.1 "${@:2}" & done
status=0
for job in $(jobs -p); do wait "$job" || status=1; done
exit $status
"""


def block(start: str) -> str:
    """The block of the page that begins so."""
    blocks: list[str] = re.findall(r"```\w*\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return next(text for text in blocks if text.startswith(start))


def test_the_page_starts_what_the_launcher_starts() -> None:
    out = Path("/data/out/.sft.partial/work")
    printed = command(Job("sft", SftConfig(processes=16), Path("mixture"), "m", out))
    module = printed[printed.index("-m") :]
    slurm = shlex.split(block("#!/bin/bash").replace("\\\n", " "))
    at = slurm.index("-m")
    assert slurm[at : at + 3] == module == ["-m", "lmmixup.train", f"{out}/job.json"]
    assert shlex.split(block("deepspeed"))[-2:] == module[1:]
    assert slurm[slurm.index("torchrun") :][:1] == printed[:1]


def run(script: str, folder: Path, commands: Mapping[str, str]) -> None:
    """Runs a script with some commands replaced; those of this Python come first otherwise."""
    (folder / "bin").mkdir()
    for name, text in commands.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent),
                            os.environ["PATH"]])  # fmt: skip
    env = {**os.environ, "PATH": path, "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NNODES": "2",
           "SLURM_JOB_ID": "7", "DS_ACCELERATOR": "cpu"}  # fmt: skip
    done = subprocess.run(["bash", "-c", script], env=env, text=True, capture_output=True,
                          check=False, cwd=folder)  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


@pytest.fixture
def script(model: Path, mixture: Path, tmp_path: Path) -> str:
    """The script of the page, with a small training in the place of the large one."""
    options = ["--model", model, "--data", mixture, "-o", tmp_path / "out", "--cpu", "--zero", "2",
               "--max-sequence-tokens", "2048", *STEPS, *TWO]  # fmt: skip
    text = re.sub(r'ARGS=".*"', f'ARGS="{shlex.join(map(str, options))}"', block("#!/bin/bash"))
    text = text.replace("/data/out", str(tmp_path / "out")).replace("29500", free_port())
    return text.replace("lmmixup train", f"{sys.executable} -m lmmixup train").replace(
        "--nproc-per-node 8", "--nproc-per-node 1"
    )


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("launcher", ["slurm", "hostfile"])
def test_two_nodes_make_the_curve_of_one_process(
    launcher: str, script: str, alone: Path, tmp_path: Path
) -> None:
    pytest.importorskip("deepspeed")
    if launcher == "hostfile":
        (tmp_path / "hostfile").write_text("127.0.0.1 slots=1\nlocalhost slots=1\n")
        given = block("deepspeed").replace("/data/out", str(tmp_path / "out"))
        given = given.replace("node1", "127.0.0.1").replace("29500", free_port())
        both = "\n".join(f"{given.strip().replace('RANK', rank)} & r{rank}=$!" for rank in "01")
        waits = "wait $r0; wait $r1"
        script = re.sub(r"srun torchrun.*?job.json", lambda _: f"{both}\n{waits}", script,
                        flags=re.DOTALL)  # fmt: skip
    run(script, tmp_path, {"srun": SRUN, "scontrol": "#!/bin/bash\necho 127.0.0.1\n"})
    one, two = read_log(alone / "whole/sft/log.jsonl"), read_log(tmp_path / "out/sft/log.jsonl")
    for key in ("loss", "grad_norm", "learning_rate"):
        expected = [entry[key] for entry in one]
        assert [entry[key] for entry in two] == pytest.approx(expected, abs=2e-5), key
