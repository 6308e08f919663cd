"""Checks and times every kernel on the GPU at hand, a part at a time, without network.

    python benches/gpu/run.py                 # every part that has no result of this commit yet
    python benches/gpu/run.py check heads-1.5B-8k --seconds 200
    python benches/gpu/run.py --rehearse      # the same steps, tiny, on a CPU: nothing is measured

A part runs in a process of its own and writes benches/results/gpu-PART.json. What was cut off by
the clock or by a fault is written as far as it came, and done again by the next call. Exit status
1: a check failed or a part broke off, 2: no GPU is here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCES = [str(HERE), *(str(ROOT / name) for name in ("kernels", "tests/kernels"))]
RESULTS = ROOT / "benches" / "results"

LEAST = 25.0
"""Seconds below which no part is begun."""


def main() -> int:
    sys.path[:0] = SOURCES
    from parts import PARTS

    options = parse(list(PARTS))
    if options.child:
        return child(options)
    import torch
    from setting import describe
    from verdict import show

    if not options.rehearse and not torch.cuda.is_available():
        print("no GPU is here: nothing was checked or timed", file=sys.stderr)
        return 2
    folder = Path(options.results or (tempfile.mkdtemp() if options.rehearse else RESULTS))
    folder.mkdir(parents=True, exist_ok=True)
    machine, end, good = describe(options.rehearse), time.monotonic() + options.seconds, True
    for name in options.parts or PARTS:
        path = folder / f"gpu-{name}.json"
        left = end - time.monotonic()
        if is_done(path, machine) and not options.again:
            print(f"{name}: there already, of this commit and GPU")
        elif left < LEAST:
            print(f"{name}: no time left; the next call does it")
            continue
        else:
            write(path, run(name, min(left, PARTS[name].seconds), machine, options.rehearse))
        good &= show(json.loads(path.read_text()))
    if options.rehearse:
        print(f"rehearsal on a CPU: no figure above is a measurement; files are in {folder}")
    return int(not good)


def parse(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(names)}; all")
    parser.add_argument("--rehearse", action="store_true", help="tiny, on a CPU, into a new folder")
    parser.add_argument("--seconds", type=float, default=450, help="for the whole call (450)")
    parser.add_argument("--again", action="store_true", help="also what is done already")
    parser.add_argument("--results", help="folder to write to (benches/results)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = sorted(set(options.parts) - set(names))
    if unknown:
        parser.error(f"unknown part {unknown[0]}; there are {', '.join(names)}")
    return options


def is_done(path: Path, machine: dict[str, Any]) -> bool:
    """Whether this part was measured whole, on this GPU, at this commit."""
    if not path.exists():
        return False
    found = json.loads(path.read_text())
    same = all(found["machine"][key] == machine[key] for key in ("gpu", "commit"))
    return same and not machine["commit"].endswith("dirty") and "stopped" not in found


def run(name: str, seconds: float, machine: dict[str, Any], rehearse: bool) -> dict[str, Any]:
    """The part's document; its rows come by a file, so that a process that dies leaves them."""
    from parts import PARTS

    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as rows:
        command = [sys.executable, __file__, name, "--child", rows.name, "--seconds", str(seconds)]
        start, stopped = time.monotonic(), None
        try:
            done = subprocess.run(
                [*command, *(["--rehearse"] if rehearse else [])],
                timeout=seconds + 15, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode:
                stopped = (done.stderr.strip().splitlines() or ["without a word"])[-1][:300]
        except subprocess.TimeoutExpired:
            stopped = f"stopped after {seconds + 15:.0f} s"
        found = [json.loads(line) for line in rows]
    if found and found[-1] == {"out_of_time": True}:
        found, stopped = found[:-1], stopped or "out of time"
    document = {"title": f"GPU: {PARTS[name].title}", "rows": found, "machine": machine,
                "seconds": round(time.monotonic() - start, 1)}  # fmt: skip
    return document if stopped is None else {**document, "stopped": stopped}


def child(options: argparse.Namespace) -> int:
    """Runs one part here, a line of JSON a row."""
    from clock import Deadline, OutOfTimeError
    from parts import PARTS

    part, device = PARTS[options.parts[0]], "cpu" if options.rehearse else "cuda"
    with Path(options.child).open("w") as rows:
        try:
            for row in part.run(device, Deadline(options.seconds)):
                print(json.dumps(row), file=rows, flush=True)
        except OutOfTimeError:
            print(json.dumps({"out_of_time": True}), file=rows)
    return 0


def write(path: Path, document: dict[str, Any]) -> None:
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(document, indent=1) + "\n")
    aside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
