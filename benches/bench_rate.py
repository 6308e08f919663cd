"""Overhead of `lmmixup rate`: its throughput beside bare clients, and its memory over many records.

python benches/bench_rate.py --pool pool52k.jsonl
pytest benches/bench_rate.py --benchmark-only

The server is a process of its own on loopback. It answers in 200 ms, so that 64 calls at a time
are at best 320 a second; for the memory it answers at once.
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

import measure
from contenders import rate

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = Path(__file__).resolve().parents[1] / "tests" / "support" / "llm_server.py"
LATENCY_S = 0.2
NAMES = ("ours", "aiohttp_alone", "openai_sdk")


@contextmanager
def serving(latency_s: float) -> Iterator[str]:
    """Address of a server in its own process."""
    command = [sys.executable, str(SERVER), "--latency-s", str(latency_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


def write_pool(source: Path, number: int, path: Path) -> None:
    """Writes so many distinct records, the source's over and over with a number in front."""
    lines = source.read_bytes().splitlines()
    with path.open("w", encoding="utf-8") as file:
        for place in range(number):
            record = json.loads(lines[place % len(lines)])
            record |= {"id": str(place), "instruction": f"{place} {record['instruction']}"}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def test_rate(benchmark: Any, small_pool: Path, tmp_path: Path) -> None:
    write_pool(small_pool, 2000, tmp_path / "pool.jsonl")
    benchmark.group = "rate 2,000 records, server answers at once"
    with serving(0) as url:
        benchmark.pedantic(rate.ours(), args=(tmp_path / "pool.jsonl", url), rounds=2)


def measure_throughput(pool: Path, number: int, repeat: int) -> list[dict[str, Any]]:
    """Records a second of each way, as a share of what the latency allows."""
    ideal = rate.CONCURRENCY / LATENCY_S
    rows = []
    with serving(LATENCY_S) as url:
        runs = measure.run_rounds("contenders.rate", NAMES, pool, repeat, url=url)
    for one in runs.values():
        assert one.result is not None
        row = one.summary(runs["ours"])
        row["per_s"] = round(number / row["seconds"], 1)
        row["share_of_ideal"] = round(number / row["seconds"] / ideal, 3)
        row["cpu_ms_per_record"] = round(1000 * float(one.result[0]) / number, 3)
        rows.append(row)
    return rows


def measure_memory(pool: Path, number: int) -> dict[str, Any]:
    """Resident memory on the way; 20 % is where the first row group has been written."""
    with serving(0) as url:
        told, result = measure.run_once("contenders.rate:ours", pool, {"url": url})
    samples = [round(float(value)) for value in result[1:]]
    return {"name": f"ours, {number:,} records answered at once", "seconds": told["seconds"],
            "peak_total_mb": told["peak_total_mb"], "mb_at_20_percent": samples[1],
            "mb_at_60_percent": samples[5], "mb_at_100_percent": samples[-1],
            "per_s": round(number / told["seconds"], 1),
            "cpu_ms_per_record": round(1000 * float(result[0]) / number, 3)}  # fmt: skip


def main() -> None:
    """Measure both, write the results."""
    parser = argparse.ArgumentParser(description="Overhead and memory of `lmmixup rate`.")
    parser.add_argument("--pool", type=Path, required=True, help="JSONL to take records from")
    parser.add_argument("--records", type=int, default=9600)
    parser.add_argument("--memory-records", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=1)
    args = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        pool = Path(folder) / "pool.jsonl"
        write_pool(args.pool, args.records, pool)
        rows = measure_throughput(pool, args.records, args.repeat)
        write_pool(args.pool, args.memory_records, pool)
        rows.append(measure_memory(pool, args.memory_records))
    title = f"Rating, {rate.CONCURRENCY} calls at a time, server answers in {LATENCY_S:g} s"
    about = {"repeat": args.repeat, "load_before": round(load, 1)}
    measure.save("rate_loopback", title, args.pool, rows, **about)


if __name__ == "__main__":
    main()
