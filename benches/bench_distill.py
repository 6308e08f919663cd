"""What `lmmixup distill` costs: throughput, CPU time and memory, through a server or without.

python benches/bench_distill.py speed --pool clusters           # no server, one thread
python benches/bench_distill.py server --pool clusters          # 200 ms, 64 calls at a time
python benches/bench_distill.py memory --pool clusters          # 10,000 clusters, and all of them

Without a pool, clusters of four short records are made up. Each run is the whole command, its start
and end included. The server is a process of its own on loopback; at 200 ms, 64 calls at a time are
at best 320 a second. In `memory` it answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import measure
from commands import timed
from lmmixup.contract import render
from lmmixup.parquet import ROWS_PER_GROUP, ParquetSink

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = Path(__file__).resolve().parents[1] / "tests" / "support" / "llm_server.py"
ANSWER = render("Both say it.", "Q: What is a stone?\nA: A stone is a piece of rock.")
CONCURRENCY = 64
LATENCY_S = 0.2
SIZE = 4
CLUSTERED = pa.schema(
    {"id": pa.string(), "prompt": pa.string(), "completion": pa.string(), "cluster": pa.int64()}
)


def make_clusters(number: int, path: Path) -> None:
    """Writes so many clusters of four records, in row groups as `lmmixup cluster` makes them."""
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


def take_clusters(pool: Path, number: int, path: Path) -> None:
    """Writes the first so many clusters of a pool that `lmmixup cluster` wrote."""
    source = pool / "data.parquet" if pool.is_dir() else pool
    with pq.ParquetFile(source) as file, ParquetSink(path, file.schema_arrow) as sink:
        for batch in file.iter_batches():
            clusters = batch.column("cluster").to_numpy()
            taken = int(np.searchsorted(clusters, number))  # they count from 0 on, in order
            sink.write(batch.slice(0, taken))
            if taken < batch.num_rows:
                return


def write_pool(pool: Path | None, number: int, path: Path) -> None:
    """Writes so many clusters of a pool, or made-up ones."""
    if pool is None:
        make_clusters(number, path)
    else:
        take_clusters(pool, number, path)


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


def distil(pool: Path, folder: Path, *options: str) -> dict[str, Any]:
    """Runs the command once; what it took, and how many records it made."""
    output = folder / "out"
    told = timed("distill", str(pool), "-o", str(output), "-q", "--overwrite", *options)
    made = json.loads((output / "manifest.json").read_text())["counts"]["made"]
    return {"made": made, **told}


def extracted(pool: Path, folder: Path) -> dict[str, Any]:
    """The mixer without a model, on one thread."""
    told = distil(pool, folder, "--num-threads", "1")
    return {**told, "per_cpu_s": round(told["made"] / told["cpu_s"])}


def asked(pool: Path, folder: Path, latency_s: float) -> dict[str, Any]:
    """A model on a server."""
    with serving(latency_s) as url:
        told = distil(
            pool, folder, "--mixer", "openai:m", "--base-url", url, "--cache", "none",
            "--concurrency", str(CONCURRENCY),
        )  # fmt: skip
    told["per_s"] = round(told["made"] / told["seconds"], 1)
    if latency_s:
        told["share_of_ideal"] = round(told["per_s"] * latency_s / CONCURRENCY, 3)
    return told


def main() -> None:
    """Measure, write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("speed", "server", "memory"))
    parser.add_argument("--pool", type=Path, help="clustered records in place of made-up ones")
    parser.add_argument("--clusters", type=int, nargs="+", help="the first so many, a run each")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--name", help="of the pool in the results")
    args = parser.parse_args()
    default = [10_000, 100_000] if args.what == "memory" else [9600]
    name = args.name or (args.pool.name if args.pool else "made up")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as given:
        folder = Path(given)
        for number in args.clusters or default:
            write_pool(args.pool, number, folder / "pool.parquet")
            for _ in range(args.repeat):
                if args.what != "server":
                    told = extracted(folder / "pool.parquet", folder)
                    rows.append({"name": f"extractive, {name}", **told})
                if args.what != "speed":
                    latency_s = 0 if args.what == "memory" else LATENCY_S
                    told = asked(folder / "pool.parquet", folder, latency_s)
                    rows.append({"name": f"server, {name}", **told})
    titles = {
        "speed": "Distilling without a model, one thread",
        "server": f"Distilling, {CONCURRENCY} calls at a time, server answers in {LATENCY_S:g} s",
        "memory": "Distilling, memory",
    }
    about = {"repeat": args.repeat, "load_before": round(os.getloadavg()[0], 1)}
    saved = f"distill_{args.what}_{name.replace(' ', '_')}"
    measure.save(saved, f"{titles[args.what]}: {name}", args.pool or Path(name), rows, **about)


if __name__ == "__main__":
    main()
