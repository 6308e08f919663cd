"""Wikipedia paragraphs: enough samples of each task type, and libraries that see quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from lmmixup.contract import TASK_TYPES
from lmmixup.mixture import MixtureConfig, open_texts, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_wikipedia_gives_a_mixture(shared_data: Path, tmp_path: Path) -> None:
    paragraphs = pq.read_table(shared_data / "wiki" / "wiki_paragraphs.parquet")
    texts = paragraphs.take(list(range(0, paragraphs.num_rows, 6)))
    config = MixtureConfig(library_records=4000, library_dim=512)
    result = run(open_texts(texts), config, output=tmp_path / "out")
    assert result.counts["used"] > 0.9 * texts.num_rows
    made = result.figures["samples"]
    for kind in TASK_TYPES:
        assert sum(part.get(kind, 0) for part in made.values()) > 0.3 * texts.num_rows
        figures = result.figures["library"][kind]
        assert figures["qwk"] > 0.35
        assert abs(figures["length_spearman"]) < 0.05
