"""A real small model as judge: SmolLM2-135M-Instruct on loopback.

It follows the rubric badly, which is what is wanted here: whatever it says, each record ends
rated from 0 to 5 or unrated with a reason, and nothing is asked twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import model_server
import pyarrow.parquet as pq
import pytest
import smollm2

from lmmixup.pool import PoolOptions, open_pool
from lmmixup.rate import RateConfig, run

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(900)]

NUM_RECORDS = 8


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    model = smollm2.weights()
    command = [sys.executable, str(Path(model_server.__file__)), str(model)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address, "the model's server ended"
        yield address
    finally:
        process.terminate()
        process.communicate()


def test_every_record_is_rated_or_says_why_not(
    url: str, example_pool: Path, tmp_path: Path
) -> None:
    config = RateConfig(base_url=url, model=("smollm2",), cache=str(tmp_path / "cache.sqlite"),
                        max_output_tokens=64, concurrency=2, timeout_s=300,
                        keep_going=True)  # fmt: skip
    pool = open_pool(example_pool, PoolOptions(sample=NUM_RECORDS))
    figures = run(pool, config, output=tmp_path / "one").figures
    rows: list[dict[str, Any]] = pq.read_table(tmp_path / "one" / "data.parquet").to_pylist()
    assert len(rows) == NUM_RECORDS == figures["rated"] + figures["unrated"]
    for row in rows:
        if row["rating"] is None:
            assert row["rating_reason"]
        else:
            assert 0 <= row["rating"] <= 5
            assert 1 <= row["overall"] <= 10
    answers = pq.read_table(tmp_path / "one" / "answers.parquet").to_pylist()
    assert all(answer["answer"] for answer in answers)
    assert figures["prompt_tokens"] > 100 * NUM_RECORDS
    print(json.dumps(figures["unrated_reasons"]), json.dumps(figures["ratings"]))  # noqa: T201
    # Everything is known now: the same bytes without a server.
    again = config.model_copy(update={"base_url": url, "timeout_s": 0.001, "max_retries": 0})
    run(pool, again, output=tmp_path / "two")
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
