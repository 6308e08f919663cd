"""`ops.embed_lexical` against the plain version, at its boundaries and over threads."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import ops, reference
from lmmixup.errors import ArgumentError, DataError

TEXTS = [
    "Sort a list of numbers in Python.",
    "Sort the numbers of a list, in python!",
    "Was ist die Hauptstadt von Österreich? Wien.",
    "我爱自然语言处理",
    "自然语言处理很有趣",
    "हिन्दी भाषा",
    "ภาษาไทย",
    "e\u0301te\u0301 naïve ÅÄÖ straße STRASSE",
    "1234 5678 + = 42 🙂🙂",
    "a" * 300,
    "ж" * 200,
    "\x00\u2028\u200b",
    "x y z x y z x y z " * 40,
    "",
    "   \n\t",
]


def test_equals_the_plain_version() -> None:
    expected = reference.embed_lexical(TEXTS)
    np.testing.assert_allclose(ops.embed_lexical(pa.array(TEXTS)), expected, atol=1e-5)


def test_equals_the_plain_version_on_real_records(real_texts: pa.Array) -> None:
    texts = real_texts[::50]
    expected = reference.embed_lexical(texts.to_pylist(), dim=64)
    np.testing.assert_allclose(ops.embed_lexical(texts, dim=64), expected, atol=1e-5)


# Python's `isalnum` lacks marks and symbols that Unicode calls alphabetic, such as Ⓐ.
COMMON = st.characters(exclude_categories=("Cs", "Cn", "Mc", "Mn", "So"))


@given(st.lists(st.text(COMMON, max_size=40), max_size=8), st.sampled_from([8, 100, 256]))
@settings(max_examples=60, deadline=None)
def test_equals_the_plain_version_on_any_text(texts: list[str], dim: int) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    given_vectors = ops.embed_lexical(pa.array(texts, pa.string()), dim=dim, num_threads=1)
    np.testing.assert_allclose(given_vectors, reference.embed_lexical(texts, dim=dim), atol=1e-5)


def test_rows_have_length_1_or_0(real_texts: pa.Array) -> None:
    lengths = np.linalg.norm(ops.embed_lexical(real_texts), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
    assert not ops.embed_lexical(pa.array(["", " \n", None])).any()


def test_same_bits_at_any_number_of_threads_and_any_chunks(real_texts: pa.Array) -> None:
    one = ops.embed_lexical(real_texts, num_threads=1)
    for num_threads in (2, 7):
        np.testing.assert_array_equal(one, ops.embed_lexical(real_texts, num_threads=num_threads))
    chunked = pa.chunked_array([real_texts[:1], real_texts[1:1000], real_texts[1000:]])
    np.testing.assert_array_equal(one, ops.embed_lexical(chunked))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_takes_every_string_type(kind: pa.DataType) -> None:
    texts = pa.array(["one text", None, "zwei Texte"])
    np.testing.assert_array_equal(ops.embed_lexical(texts.cast(kind)), ops.embed_lexical(texts))


def test_no_texts_give_no_vectors() -> None:
    assert ops.embed_lexical(pa.array([], pa.string()), dim=16).shape == (0, 16)


def test_case_and_endings_matter_little_and_topics_much() -> None:
    texts = ["Sorting lists in Python", "sort a LIST in python", "the capital of France is Paris"]
    near, far = ops.embed_lexical(pa.array(texts))[1:] @ ops.embed_lexical(pa.array(texts))[0]
    assert near > 0.3
    assert far < 0.2


def test_texts_without_spaces_find_each_other() -> None:
    texts = [
        "我爱自然语言处理和机器学习",
        "自然语言处理和机器学习很有趣",
        "今天天气非常好我们去公园",
    ]
    # many dimensions: with 256 two of the few features of three short texts may meet by chance
    vectors = ops.embed_lexical(pa.array(texts), dim=4096)
    near, far = vectors[1:] @ vectors[0]
    assert near > far + 0.3


def test_fit_on_makes_pools_comparable(real_texts: pa.Array) -> None:
    together = ops.embed_lexical(real_texts)
    alone = ops.embed_lexical(real_texts[:10], fit_on=real_texts)
    np.testing.assert_array_equal(together[:10], alone)
    assert not np.array_equal(together[:10], ops.embed_lexical(real_texts[:10]))


def test_says_what_is_wrong() -> None:
    with pytest.raises(ArgumentError, match=r"dim must be 8..=8192, got 4"):
        ops.embed_lexical(pa.array(["a"]), dim=4)
    with pytest.raises(DataError, match="must be a string column, got Int64"):
        ops.embed_lexical(pa.array([1]))
