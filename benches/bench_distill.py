"""Overhead of `lmmixup distill` through a server: throughput, CPU time and memory.

python benches/bench_distill.py
python benches/bench_distill.py --clusters 100000 --latency-s 0

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
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lmmixup.contract import render

SERVER = Path(__file__).resolve().parents[1] / "tests" / "support" / "llm_server.py"
ANSWER = render("Both say it.", "Q: What is a stone?\nA: A stone is a piece of rock.")
SIZE = 4


def write_clusters(number: int, path: Path) -> None:
    """Writes so many clusters of four records."""
    places = range(number * SIZE)
    table = pa.table(
        {
            "id": [f"r{place}" for place in places],
            "prompt": [f"What is stone {place} made of?" for place in places],
            "completion": [f"Stone {place} is a piece of rock with some iron." for place in places],
            "cluster": [place // SIZE for place in places],
        }
    )
    pq.write_table(table, path)


def main() -> None:
    """Measure one run of the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clusters", type=int, default=9600)
    parser.add_argument("--latency-s", type=float, default=0.2)
    parser.add_argument("--concurrency", type=int, default=64)
    args = parser.parse_args()
    command = [sys.executable, str(SERVER), "--latency-s", str(args.latency_s), "--text", ANSWER]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    load = os.getloadavg()[0]
    try:
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            pool = Path(folder) / "pool.parquet"
            write_clusters(args.clusters, pool)
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "lmmixup", "distill", str(pool), "-o", f"{folder}/out",
                 "--mixer", "openai:m", "--base-url", url, "--cache", "none", "-q",
                 "--concurrency", str(args.concurrency)],
                check=True, env={**os.environ, "OPENAI_API_KEY": "sk-bench"},
            )  # fmt: skip
            seconds = time.perf_counter() - start
    finally:
        server.terminate()
        server.communicate()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    per_s = args.clusters / seconds
    ideal = args.concurrency / args.latency_s if args.latency_s else None
    told = {
        "clusters": args.clusters,
        "latency_s": args.latency_s,
        "seconds": round(seconds, 2),
        "per_s": round(per_s, 1),
        "share_of_ideal": None if ideal is None else round(per_s / ideal, 3),
        "peak_mb": round(used.ru_maxrss / 1024),
        "load_before": round(load, 1),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
