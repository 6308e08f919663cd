"""What `lmmixup distill` costs: throughput, CPU time and memory, through a server or without.

python benches/bench_distill.py                                     # clusters of four short records
python benches/bench_distill.py --pool clusters                     # real ones
python benches/bench_distill.py --pool clusters --mixer extractive  # no server, one thread
python benches/bench_distill.py --clusters 100000 --latency-s 0     # memory

The server is a process of its own on loopback; at 200 ms, 64 calls at a time are at best 320 a
second. Prints one JSON line for the whole command, start and end included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup.contract import render
from lmmixup.parquet import ROWS_PER_GROUP, ParquetSink

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = Path(__file__).resolve().parents[1] / "tests" / "support" / "llm_server.py"
ANSWER = render("Both say it.", "Q: What is a stone?\nA: A stone is a piece of rock.")
SIZE = 4
CLUSTERED = pa.schema(
    {"id": pa.string(), "prompt": pa.string(), "completion": pa.string(), "cluster": pa.int64()}
)


def write_clusters(number: int, path: Path) -> None:
    """Writes so many clusters of four records, in row groups as `lmmixup cluster` makes them."""
    # A group at a time: a command that is started counts what its parent held at most as its own.
    with ParquetSink(path, CLUSTERED) as sink:
        for start in range(0, number * SIZE, ROWS_PER_GROUP):
            places = range(start, min(start + ROWS_PER_GROUP, number * SIZE))
            columns = {
                "id": [f"r{place}" for place in places],
                "prompt": [f"What is stone {place} made of?" for place in places],
                "completion": [
                    f"Stone {place} is a piece of rock with some iron." for place in places
                ],
                "cluster": [place // SIZE for place in places],
            }
            sink.write(pa.table(columns, CLUSTERED))


@contextmanager
def serving(latency_s: float) -> Iterator[str]:
    """A server that says the same to all; gives its address."""
    command = [sys.executable, str(SERVER), "--latency-s", str(latency_s), "--text", ANSWER]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.communicate()


def distil(pool: Path, output: Path, options: list[str]) -> dict[str, Any]:
    """Runs the command once; what it took, and its counts."""
    command = [sys.executable, "-m", "lmmixup", "distill", str(pool), "-o", str(output), "-q"]
    # As installed: with the bytecode of its modules at hand.
    environment = {**os.environ, "OPENAI_API_KEY": "sk-bench"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, "-m", "lmmixup", "distill", "--help"], check=True,
                   env=environment, stdout=subprocess.DEVNULL)  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([*command, *options], check=True, env=environment)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    made = json.loads((output / "manifest.json").read_text())["counts"]["made"]
    return {
        "made": made,
        "seconds": round(seconds, 2),
        "cpu_s": round(cpu, 2),
        "per_s": round(made / seconds, 1),
        "per_cpu_s": round(made / cpu),
        "peak_mb": round(used.ru_maxrss / 1024),
    }


def main() -> None:
    """Measure one run of the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pool", type=Path, help="clustered records in place of made-up ones")
    parser.add_argument("--mixer", choices=("openai:m", "extractive"), default="openai:m")
    parser.add_argument("--clusters", type=int, default=9600)
    parser.add_argument("--latency-s", type=float, default=0.2)
    parser.add_argument("--concurrency", type=int, default=64)
    args = parser.parse_args()
    told: dict[str, Any] = {"mixer": args.mixer, "load_before": round(os.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        pool = args.pool
        if pool is None:
            pool = Path(folder) / "pool.parquet"
            write_clusters(args.clusters, pool)
        if args.mixer == "extractive":
            told |= distil(pool, output, ["--num-threads", "1"])
        else:
            with serving(args.latency_s) as url:
                told |= distil(
                    pool,
                    output,
                    ["--mixer", args.mixer, "--base-url", url, "--cache", "none",
                     "--concurrency", str(args.concurrency), "--limit", str(args.clusters)],
                )  # fmt: skip
            if args.latency_s:
                ideal = args.concurrency / args.latency_s
                told["share_of_ideal"] = round(told["per_s"] / ideal, 3)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
