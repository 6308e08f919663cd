"""Ids are those of Hugging Face `tokenizers`."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_tokenizers import KINDS, SPECIALS
from tokenizers import Tokenizer as Peer

from lmmixup.errors import DataError, FileError
from lmmixup.tokenize import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

# Later Unicode versions know more letters: the peer's tables are older than ours.
CHARACTERS = st.characters(exclude_categories=("Cs", "Cn"))
PIECES = st.one_of(
    st.text(CHARACTERS, max_size=30),
    st.sampled_from([*SPECIALS, "\n\n", "  ", "don't", "12345", "e\u0301", "中文字", "\t \r\n"]),
)
EXACT = [kind for kind in KINDS if kind != "bytes-digits"]
TEXTS = st.lists(PIECES, max_size=8).map("".join)


def is_old(character: str) -> bool:
    return unicodedata.ucd_3_2_0.category(character) == unicodedata.category(character)


@pytest.fixture(scope="session", params=EXACT)
def both(request: pytest.FixtureRequest, tokenizers_folder: Path) -> tuple[Tokenizer, Peer]:
    folder = tokenizers_folder / request.param
    return Tokenizer(folder), Peer.from_file(str(folder / "tokenizer.json"))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(TEXTS, max_size=6))
def test_drawn_texts_have_the_ids_of_the_peer(
    both: tuple[Tokenizer, Peer], texts: list[str]
) -> None:
    ours, peer = both
    if ours.path != "words":
        # tables of punctuation in tokenizers 0.23 are those of an old Unicode
        texts = ["".join(filter(is_old, text)) for text in texts]
    ids, offsets = ours.encode_batch(texts, num_threads=1)
    for at, text in enumerate(texts):
        expected = peer.encode(text, add_special_tokens=False).ids
        assert ids[offsets[at] : offsets[at + 1]].tolist() == expected


def test_real_texts_have_the_ids_of_the_peer(
    both: tuple[Tokenizer, Peer], example_pool: Path
) -> None:
    ours, peer = both
    rows = [json.loads(line) for line in example_pool.read_text(encoding="utf-8").splitlines()]
    texts = [text for row in rows for text in row.values() if isinstance(text, str)]
    ids, offsets = ours.encode_batch(texts)
    expected = [e.ids for e in peer.encode_batch(texts, add_special_tokens=False)]
    assert ids.tolist() == [id_ for row in expected for id_ in row]
    assert np.diff(offsets).tolist() == [len(row) for row in expected]


def test_says_which_path_it_takes(tokenizers_folder: Path) -> None:
    paths = {kind: Tokenizer(tokenizers_folder / kind).path for kind in EXACT}
    assert paths["bytes"] == "words"
    assert paths["wordpiece"] == paths["unigram"] == paths["sentencepiece"] == "tokenizers"


@pytest.mark.parametrize("num_threads", [1, 2, 7])
def test_threads_change_nothing(model: Path, num_threads: int) -> None:
    texts = [f"record {n} says {n * n} times “čau”, 中文\n" * (n % 5) for n in range(3000)]
    one = Tokenizer(model).encode_batch(texts, num_threads=1)
    several = Tokenizer(model).encode_batch(texts, num_threads=num_threads)
    assert all(np.array_equal(a, b) for a, b in zip(one, several, strict=True))


def test_takes_no_texts_arrow_arrays_and_nulls(model: Path) -> None:
    ours = Tokenizer(model)
    ids, offsets = ours.encode_batch([])
    assert ids.dtype == np.int32
    assert offsets.tolist() == [0]
    ids, offsets = ours.encode_batch(pa.array(["a", None, ""]))
    assert np.diff(offsets).tolist() == [1, 0, 0]


def test_specials_off_are_text(model: Path) -> None:
    ours = Tokenizer(model)
    assert len(ours.encode_batch(["<|im_end|>"])[0]) == 1
    assert len(ours.encode_batch(["<|im_end|>"], specials=False)[0]) > 1


@pytest.mark.slow
def test_a_text_of_50_mb(model: Path) -> None:
    text = "All work and no play makes 杰克 a dull boy.\n" * 1_100_000
    ids, _ = Tokenizer(model).encode_batch([text])
    line, _ = Tokenizer(model).encode_batch([text[: len(text) // 1_100_000]])
    assert len(ids) == len(line) * 1_100_000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "expected a tokenizer.json"),
        ("{}", "JSON without `model`"),
        ('{"version": "9.0", "model": {"type": "BPE"}}', "version 9.0"),
        ('{"version": "1.0", "model": {"type": "Nonesuch"}}', "expected a tokenizer"),
    ],
)
def test_says_what_is_no_tokenizer(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(DataError, match=said) as raised:
        Tokenizer(path)
    assert str(path) in str(raised.value)


def test_refuses_a_pattern_that_would_be_cut_wrongly(tokenizers_folder: Path) -> None:
    with pytest.raises(DataError, match=r"split pattern with `\\p\{N\}\+`"):
        Tokenizer(tokenizers_folder / "bytes-digits")


def test_says_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"expected a tokenizer\.json"):
        Tokenizer(tmp_path)
