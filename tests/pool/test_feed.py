"""A store that is fed by Rust gets what batches of Arrow would bring."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmmixup import _rust, ops
from lmmixup.dedup import DedupConfig, Families, families
from lmmixup.errors import DataError
from lmmixup.pool import Pool, PoolOptions, open_pool
from lmmixup.pool.reading import TEXT_COLUMNS
from lmmixup.progress import Reporter

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    "What is 2 + 2?",
    "what  is 2 + 2?",
    "用Rust写",
    "\u7528\uff32ust\u5199",
    "\u00e9\u0301\u2028\u03a3\u03b1\u03c2 \u03a3\u0391\u03a3",
    "",
]


def record(number: int) -> dict[str, Any]:
    text = TEXTS[number % len(TEXTS)]
    row: dict[str, Any] = {
        "instruction": text,
        "input": text[:3],
        "output": f'{text}\n"{number % 7}"',
    }
    return row if number % 3 else {"id": f"r{number // 9}", **row}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """JSONL, packed JSONL, a JSON list, CSV and Parquet; with bad lines and repeated ids."""
    rows = [record(number) for number in range(400)]
    lines = "".join(
        json.dumps(row, ensure_ascii=number % 2 == 0) + "\n"
        for number, row in enumerate(rows[:200])
    )
    (tmp_path / "a.jsonl").write_text(
        lines + '{"instruction": 1}\n\n{"instr' + "\n" + lines[:900], encoding="utf-8"
    )
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode())[:-200])
    (tmp_path / "c.json").write_text(json.dumps(rows[200:300]))
    (tmp_path / "d.csv").write_text('instruction,output\na,"b\nc"\nonly\n', encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows[300:]), tmp_path / "e.parquet")
    answer = {"role": "assistant", "content": "a"}
    chats = [{"messages": [{"role": "user", "content": text}, answer]} for text in TEXTS]
    (tmp_path / "f.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    return [str(path) for path in sorted(tmp_path.iterdir())]


def same(a: Families, b: Families) -> bool:
    pairs = zip(vars(a).values(), vars(b).values(), strict=True)
    return all(np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind == "f") for x, y in pairs)


@pytest.mark.parametrize("method", ["exact", "join", "minhash"])
@pytest.mark.parametrize("normalize", ["raw", "lower", "nfkc"])
def test_families_are_those_of_batches(files: list[str], method: str, normalize: str) -> None:
    config = DedupConfig(method=method, normalize=normalize, threshold=0.6, shingle_size=2)
    by_batch = open_pool(files)
    batches = list(by_batch.batches(TEXT_COLUMNS))
    find: Any = {
        "exact": lambda: ops.exact_families(batches, normalize=config.normalize),
        "join": lambda: ops.near_families(
            batches, threshold=0.6, shingle_size=2, normalize=config.normalize
        ),
        "minhash": lambda: ops.minhash_families(
            batches, threshold=0.6, shingle_size=2, normalize=config.normalize
        ),
    }[method]
    expected = find()
    for threads in (1, 2, 7):
        pool = open_pool(files)
        assert same(families(pool, config, num_threads=threads), expected)
        assert list(pool.rejects) == list(by_batch.rejects)
        assert pool.num_records == by_batch.num_records == len(expected.kept)


def test_rejects_of_a_fed_pool(files: list[str]) -> None:
    pool = open_pool(files)
    families(pool, DedupConfig(method="exact"))
    reasons = pool.rejects.counts()
    assert reasons.keys() == {"csv", "id", "json", "truncated", "type"}
    assert reasons["id"] > 50
    assert all(reject.raw for reject in pool.rejects if reject.reason == "id")


@pytest.mark.parametrize("method", ["exact", "join"])
def test_a_strict_pool_stops(files: list[str], method: str) -> None:
    pool = open_pool(files, PoolOptions(strict=True))
    with pytest.raises(DataError, match=r"a\.jsonl:"):
        families(pool, DedupConfig(method=method))


def test_a_sample_is_fed_too(files: list[str]) -> None:
    pool = open_pool(files).sample(50, seed=3)
    assert len(families(pool, DedupConfig(method="exact")).kept) == 50


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n')
    pool = open_pool(path)
    path.unlink()
    with pytest.raises(OSError, match=r"a\.jsonl"):
        families(pool, DedupConfig(method="exact"))


def test_progress_and_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    line = json.dumps({"prompt": "a" * 500, "completion": "b" * 500}) + "\n"
    path.write_text(line * 40_000)

    class Stop(Reporter):
        def __call__(self, phase: str, done: int, total: int) -> None:  # noqa: ARG002
            assert (phase, total) == ("read pool", 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Pool([path], PoolOptions()).feed(
            _rust.TextPool("char", 5, "nfkc"), num_threads=1, reporter=Stop()
        )
