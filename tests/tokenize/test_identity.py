"""Ids of real tokenizers on real texts of all pools are those of Hugging Face `tokenizers`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer as Peer

from lmmixup.tokenize import Tokenizer

COLUMNS = ["instruction", "input", "output"]
FOLDER = Path(
    os.environ.get(
        "LMMIXUP_TEST_TOKENIZERS",
        Path(__file__).resolve().parents[2] / "benches" / "data" / "tokenizers",
    )
)
"""Where `benches/real_tokenizers.py` puts them."""
TOKENIZERS = sorted(path.parent for path in FOLDER.glob("*/tokenizer.json"))
ROWS_A_POOL = 150
"""Some 2 MB of all pools: the peer takes seconds for each tokenizer."""


@pytest.fixture(scope="module")
def texts(shared_data: Path) -> list[str]:
    """The same rows of each pool each time."""
    drawn = np.random.default_rng(7)
    found: set[str] = set()
    for path in sorted((shared_data / "pools").glob("*.parquet")):
        table = pq.read_table(path, columns=COLUMNS)
        size = min(ROWS_A_POOL, table.num_rows)
        rows = table.take(drawn.choice(table.num_rows, size, replace=False))
        found.update(text for column in rows.columns for text in column.to_pylist() if text)
    return sorted(found)


@pytest.mark.slow
@pytest.mark.skipif(not TOKENIZERS, reason="no real tokenizers; make them with real_tokenizers.py")
@pytest.mark.parametrize("folder", TOKENIZERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("specials", [True, False])
def test_ids_are_those_of_the_peer(folder: Path, texts: list[str], specials: bool) -> None:
    ids, offsets = Tokenizer(folder).encode_batch(texts, specials=specials, num_threads=1)
    peer = Peer.from_file(str(folder / "tokenizer.json"))
    peer.encode_special_tokens = not specials
    for at, row in enumerate(peer.encode_batch_fast(texts, add_special_tokens=False)):
        assert ids[offsets[at] : offsets[at + 1]].tolist() == row.ids, texts[at]
