"""Time contenders side by side: each run in a process of its own, interleaved, memory included.

A contender is a function without arguments that imports what it needs and returns the function to
time. That one takes the input file and returns an array (labels of families, or of clusters), or a
function that gives the array when the clock has stopped. Where a contender returns an object with
`prepare`, that gets the input file before the clock, and what it returns is timed.

* Seconds count from the open file to the array, imports not included.
* CPU seconds are those of all threads and finished child processes over the same stretch: what
  is left to compare by on a machine that others use too.
* Memory is the high-water mark of the resident size above what is resident after the imports;
  `peak_total_mb` is that high-water mark itself. Where a contender works in child processes, it is
  that of the largest of them, if that is more.
* A ratio is formed inside each round and the median over the rounds is reported, because a
  machine's speed drifts more between rounds than within one.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
NUM_THREADS = 2
THREAD_VARIABLES = (
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
PACKAGES = ("gaoya", "rensa", "datasketch", "polars", "orjson", "xxhash", "faiss-cpu")
PACKAGES += ("scikit-learn", "semhash", "usearch", "wordllama", "numpy", "aiohttp", "openai")
PACKAGES += ("datasets", "fastokens", "gigatoken", "snaptokens", "tokenizers", "trl")


@dataclass
class Runs:
    """All measured rounds of one contender."""

    name: str
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)
    peak_total_mb: list[float] = field(default_factory=list)
    result: np.ndarray | None = None

    def summary(self, ours: Runs | None) -> dict[str, Any]:
        """Medians over the rounds, and of the ratio to our seconds in the same round."""
        out: dict[str, Any] = {
            "name": self.name,
            "seconds": round(statistics.median(self.seconds), 3),
            "cpu_seconds": round(statistics.median(self.cpu_seconds), 3),
            "all_seconds": [round(s, 3) for s in self.seconds],
            "peak_mb": round(statistics.median(self.peak_mb), 1),
            "peak_total_mb": round(statistics.median(self.peak_total_mb), 1),
        }
        if ours and ours is not self:
            pairs = zip(self.seconds, ours.seconds, strict=True)
            out["times_ours"] = round(statistics.median(a / b for a, b in pairs), 2)
            pairs = zip(self.cpu_seconds, ours.cpu_seconds, strict=True)
            out["times_our_cpu"] = round(statistics.median(a / b for a, b in pairs), 2)
            out["times_our_memory"] = round(out["peak_mb"] / statistics.median(ours.peak_mb), 2)
        return out


def status_mb(key: str) -> float:
    """A line of /proc/self/status (VmRSS, VmHWM) in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def all_cpu_seconds() -> float:
    """CPU time of this process and of the children that it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def run_child(contender: str, source: Path, out: Path, options: dict[str, Any]) -> dict[str, float]:
    """In the child: import, reset the high-water mark, run, save the array."""
    module, name = contender.split(":")
    run = getattr(importlib.import_module(module), name)()
    if hasattr(run, "prepare"):
        run = partial(run.prepare(source, **options))
    else:
        run = partial(run, source, **options)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = status_mb("VmRSS")
    start, cpu_start = time.perf_counter(), all_cpu_seconds()
    result = run()
    seconds, cpu_seconds = time.perf_counter() - start, all_cpu_seconds() - cpu_start
    child_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    peak = max(status_mb("VmHWM"), child_mb)
    np.save(out, result() if callable(result) else result)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": peak - before,
        "peak_total_mb": peak,
    }


def run_once(contender: str, source: Path, options: dict[str, Any]) -> tuple[dict, np.ndarray]:
    """In the parent: start the child, read back what it measured and made."""
    env = dict(os.environ) | dict.fromkeys(THREAD_VARIABLES, str(NUM_THREADS))
    env["PYTHONHASHSEED"] = "0"
    env["PYTHONPATH"] = os.pathsep.join([str(HERE), env.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.npy"
        command = [sys.executable, __file__, contender, str(source), str(out), json.dumps(options)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{contender} failed:\n{done.stderr[-3000:]}")
        return json.loads(done.stdout.splitlines()[-1]), np.load(out)


def run_rounds(
    module: str, names: Sequence[str], source: Path, repeat: int, **options: object
) -> dict[str, Runs]:
    """All contenders, one after the other, `repeat` times over."""
    runs = {name: Runs(name) for name in names}
    for number in range(repeat):
        for name, one in runs.items():
            told, one.result = run_once(f"{module}:{name}", source, dict(options))
            for key, value in told.items():
                getattr(one, key).append(value)
            print(
                f"round {number + 1} {name}: {told['seconds']:.2f} s, {told['peak_mb']:.0f} MB",
                file=sys.stderr,
                flush=True,
            )
    return runs


def describe_machine() -> dict[str, Any]:
    """CPU, cores, memory, versions, commit and date."""
    cpu = platform.processor()
    flags: set[str] = set()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
        if line.startswith("flags"):
            flags = set(line.split())
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "cpu": cpu,
        "simd": "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "other",
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "threads": NUM_THREADS,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES if has(name)},
    }


def has(package: str) -> bool:
    """Whether a distribution is installed."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def save(name: str, title: str, source: Path, rows: list[dict[str, Any]], **about: object) -> Path:
    """Write benches/results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {"title": title, "input": source.name, **about, "machine": describe_machine()}
    document["rows"] = rows
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(rows, indent=1))
    return path


def parser(
    description: str, names: Sequence[str], *, default: Sequence[str] = (), repeat: int = 3
) -> argparse.ArgumentParser:
    """The options that all benches share; a bench may add its own."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--pool", type=Path, required=True, help="the input file")
    options.add_argument("--repeat", type=int, default=repeat)
    options.add_argument("--only", nargs="+", choices=names, default=list(default or names))
    options.add_argument("--name", help="of the file in results/, default by the bench and input")
    return options


def rows_of(
    runs: dict[str, Runs], ours: str, judge: Callable[[np.ndarray, float], dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row for each contender: its summary beside `ours`, and what `judge` says of its result."""
    rows = []
    for one in runs.values():
        assert one.result is not None
        row = one.summary(runs.get(ours))
        rows.append(row | judge(one.result, row["seconds"]))
    return rows


if __name__ == "__main__":
    print(json.dumps(run_child(*sys.argv[1:2], *map(Path, sys.argv[2:4]), json.loads(sys.argv[4]))))
