"""Records of the library itself: rated by the others, at the price of their own text alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from lmmixup import ops
from lmmixup.errors import DataError
from lmmixup.library.known import Contents, nearest_others
from lmmixup.reference import knn

if TYPE_CHECKING:
    from numpy.typing import NDArray

K = 4
OFTEN = 37
"""Library records that have one text."""


class Watched(ops.Prepared):
    """Remembers how many were asked for how many."""

    def nearest(self, queries_QD: NDArray[np.float32], k: int, **options: Any) -> ops.Neighbours:
        self.asked = [*getattr(self, "asked", []), (len(queries_QD), k)]
        return super().nearest(queries_QD, k, **options)


def table(names: list[str]) -> pa.Table:
    return pa.table({"prompt": names, "completion": ["answer"] * len(names)})


@pytest.fixture
def texts() -> list[str]:
    """60 texts that are there once, one that is there often, one that is there twice."""
    texts = [f"text {number}" for number in range(60)] + ["often"] * OFTEN + ["twice"] * 2
    return list(np.random.default_rng(0).permutation(texts))


def vectors_of(texts: list[str]) -> NDArray[np.float32]:
    made = {text: np.random.default_rng(sum(text.encode())).normal(size=8) for text in set(texts)}
    return np.array([made[text] for text in texts], np.float32)


def test_each_has_the_nearest_that_have_another_text(texts: list[str]) -> None:
    asked = ["new", "often", "text 3", "twice", "newer", "often", "text 4", "often"]
    library, queries = Watched(vectors_of(texts)), vectors_of(asked)
    known = Contents(table(texts)).find(table(asked))
    assert known.rows.tolist() == [1, 2, 3, 5, 6, 7]
    found = nearest_others(library, queries, K, known)
    assert (found.idx_QK.dtype, found.sim_QK.dtype) == (np.int32, np.float32)
    for text, query, idx_K, sim_K in zip(asked, queries, found.idx_QK, found.sim_QK, strict=True):
        others = np.array([row for row, other in enumerate(texts) if other != text])
        idx, sim = knn(vectors_of(texts)[others], K, query[None])
        assert idx_K.tolist() == others[idx[0]].tolist(), text
        np.testing.assert_allclose(sim_K, sim[0], atol=1e-6)


def test_a_text_that_is_there_often_widens_no_search_but_its_own(texts: list[str]) -> None:
    asked = ["new", "often", "text 3", "twice", "newer", "often", "text 4", "often"]
    library = Watched(vectors_of(texts))
    known = Contents(table(texts)).find(table(asked))
    nearest_others(library, vectors_of(asked), K, known)
    assert library.asked == [(2, K), (2, K + 1), (1, K + 2), (1, K + 64)]
    # Vectors that others made may differ for one text: then each is asked.
    library = Watched(vectors_of(texts))
    nearest_others(library, vectors_of([str(number) for number in range(8)]), K, known)
    assert library.asked == [(2, K), (2, K + 1), (1, K + 2), (3, K + 64)]


def test_nobody_is_searched_twice_where_none_is_known(texts: list[str]) -> None:
    library, queries = Watched(vectors_of(texts)), vectors_of(["new", "newer"])
    known = Contents(table(texts)).find(table(["new", "newer"]))
    found = [nearest_others(library, queries, K, who) for who in (known, None)]
    assert library.asked == [(2, K)] * 2
    np.testing.assert_array_equal(found[0].idx_QK, found[1].idx_QK)
    nothing = nearest_others(library, queries[:0], K, Contents(table(texts)).find(table([])))
    assert nothing.idx_QK.shape == (0, K)


def test_too_few_others_are_told() -> None:
    texts = ["a", "b", "c", *["often"] * 9]
    known = Contents(table(texts)).find(table(["often", "a"]))
    message = r"at least 4 records beside a record's own.* got 3, because"
    with pytest.raises(DataError, match=message):
        nearest_others(ops.Prepared(vectors_of(texts)), vectors_of(["often", "a"]), K, known)
