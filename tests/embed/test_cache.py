"""The cache of vectors: by content, whole or not there, alive after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lmmixup.embed.cache import MAX_PARTS, CachedEmbedder, VectorCache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest

    from lmmixup.progress import Reporter

IDENTITY = {"embedder": "slow", "dim": 4}


class Slow:
    """Hands over two vectors at a time and counts what it was asked."""

    dim = 4

    def __init__(self, stall_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.stall_after = stall_after

    def identity(self) -> dict[str, Any]:
        return IDENTITY

    def embed_chunks(
        self,
        texts: Sequence[str],
        finished: Callable[[Sequence[int], np.ndarray], None],
        reporter: Reporter,
    ) -> None:
        for start in range(0, len(texts), 2):
            rows = list(range(start, min(start + 2, len(texts))))
            if self.stall_after is not None and len(self.asked) >= self.stall_after:
                time.sleep(300)
            self.asked += [texts[row] for row in rows]
            finished(rows, np.array([[len(texts[row]), row, 0, 1] for row in rows], np.float32))
            reporter("embed", rows[-1] + 1, len(texts))


TEXTS = pa.array([f"{'t' * row}é" for row in range(20)])

CHILD = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_cache import TEXTS, Slow
from lmmixup.embed.cache import CachedEmbedder
print("ready", flush=True)
CachedEmbedder(Slow(stall_after=6), Path(sys.argv[1])).embed(TEXTS)
"""


def test_a_killed_run_keeps_what_it_had(tmp_path: Path) -> None:
    here = os.path.dirname(__file__)
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), here])
    while len(list(tmp_path.glob("*/*.arrow"))) < 3:
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    known = len(VectorCache(tmp_path, IDENTITY, 4))
    assert known == 6
    slow = Slow()
    vectors = CachedEmbedder(slow, tmp_path).embed(TEXTS)
    assert len(slow.asked) == 20 - known
    np.testing.assert_array_equal(vectors[:, 0], np.arange(20) + 1)


def test_damaged_files_count_as_not_there(tmp_path: Path) -> None:
    CachedEmbedder(Slow(), tmp_path).embed(TEXTS)
    parts = sorted(tmp_path.glob("*/*.arrow"))
    parts[0].write_bytes(parts[0].read_bytes()[:40])
    parts[1].write_bytes(b"")
    slow = Slow()
    CachedEmbedder(slow, tmp_path).embed(TEXTS)
    assert len(slow.asked) == 4


def test_many_files_become_one(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, IDENTITY, 4)
    for row in range(MAX_PARTS + 1):
        cache.add([VectorCache.key(str(row))], np.full((1, 4), row, np.float32))
    again = VectorCache(tmp_path, IDENTITY, 4)
    assert len(list(tmp_path.glob("*/*.arrow"))) == 1
    for row in range(MAX_PARTS + 1):
        assert again.get(VectorCache.key(str(row)))[0] == row  # type: ignore[index]


def test_what_another_process_merges_meanwhile_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = VectorCache(tmp_path, IDENTITY, 4)
    for row in range(5):
        other.add([VectorCache.key(str(row))], np.full((1, 4), row, np.float32))
    opened = VectorCache._open
    parts = sorted(tmp_path.glob("*/*.arrow"))

    def open_after_the_merge(self: VectorCache, path: Path) -> None:
        if path == parts[2] and path.exists():
            monkeypatch.setattr(VectorCache, "_open", opened)
            other._merge(parts)
        opened(self, path)

    monkeypatch.setattr(VectorCache, "_open", open_after_the_merge)
    assert len(VectorCache(tmp_path, IDENTITY, 4)) == 5


def test_another_identity_finds_nothing(tmp_path: Path) -> None:
    CachedEmbedder(Slow(), tmp_path).embed(TEXTS)
    assert len(VectorCache(tmp_path, {**IDENTITY, "dim": 5}, 5)) == 0
    assert VectorCache(tmp_path, IDENTITY, 4).get(VectorCache.key("never seen")) is None
