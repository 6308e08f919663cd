"""Families of pools against brute force, by every method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import ops, reference
from lmmixup.dedup import DedupConfig, Families, families
from lmmixup.errors import ArgumentError, DataError
from lmmixup.pool import open_pool

if TYPE_CHECKING:
    from pathlib import Path

WORDS = st.sampled_from(
    ["a", "B", "c", "DE", "f", "\u00c9t\u00e9", "\u7528\u4f8b", "x\u00a0y", "z\x1cw"]
)
TEXTS = st.lists(st.lists(WORDS, max_size=12).map(" ".join), min_size=1, max_size=25)


def batch(texts: list[str]) -> pa.RecordBatch:
    ids = [str(number) for number in range(len(texts))]
    return pa.record_batch({"id": ids, "prompt": texts, "completion": [""] * len(texts)})


def labels(found: Families) -> list[int]:
    """Each record's family as the index of its first record."""
    first: dict[int, int] = {}
    for at, family in enumerate(found.family.tolist()):
        first.setdefault(family, at)
    return [first[family] for family in found.family.tolist()]


def same(a: Families, b: Families) -> bool:
    pairs = zip(vars(a).values(), vars(b).values(), strict=True)
    return all(np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind == "f") for x, y in pairs)


@given(texts=TEXTS, size=st.integers(1, 4), threshold=st.sampled_from([0.2, 0.5, 0.7, 0.9, 1.0]))
@settings(max_examples=60, deadline=None)
def test_near_families_are_those_of_the_reference(
    texts: list[str], size: int, threshold: float
) -> None:
    options: dict[str, Any] = {"threshold": threshold, "shingle": "word", "shingle_size": size}
    found = ops.near_families([batch(texts)], num_threads=1, **options)
    sets = [reference.shingles(text, size) for text in texts]
    assert labels(found) == reference.families_of(sets, threshold)
    for at in np.flatnonzero(~found.kept):
        partner = found.partner[at]
        assert found.kept[partner]
        assert found.similarity[at] == reference.jaccard(sets[at], sets[partner]) >= threshold
    for threads in (2, 7):
        assert same(found, ops.near_families([batch(texts)], num_threads=threads, **options))


@pytest.mark.parametrize("method", ["join", "minhash", "exact"])
def test_methods_agree_on_plain_copies(method: Any) -> None:
    copies = "one two three four five six seven"
    table = pa.table({"prompt": [copies, "other words here", copies], "completion": ["z"] * 3})
    found = families(open_pool(table), DedupConfig(method=method), num_threads=2)
    assert labels(found) == [0, 1, 0]
    assert found.kept.sum() == 2
    assert found.same_text.sum() == 1


def test_order_of_the_rule() -> None:
    text = "one two three four five six seven eight nine ten"
    table = pa.table(
        {
            "prompt": [text, text + " x", text + " x y", text],
            "completion": ["z"] * 4,
            "source": ["bad", "bad", "good", "good"],
            "score": pa.array([3, None, 1, 3], pa.int64()),
        }
    )
    pool = open_pool(table)

    def keeps(**options: Any) -> list[int]:
        config = DedupConfig(threshold=0.5, keep="one", **options)
        return np.flatnonzero(families(pool, config).kept).tolist()

    assert keeps() == [2]
    assert keeps(prefer="first") == [0]
    assert keeps(prefer_source=("good",), prefer="first") == [2]
    assert keeps(rating="score", prefer="first") == [0]
    assert keeps(rating="score", prefer_source=("good",)) == [3]


def test_unknown_or_worded_ratings_are_refused() -> None:
    pool = open_pool(pa.table({"prompt": ["a"], "completion": ["b"], "note": ["c"]}))
    with pytest.raises(ArgumentError, match="expected one of the columns"):
        families(pool, DedupConfig(rating="quality"))
    with pytest.raises(ArgumentError, match="must hold numbers"):
        families(pool, DedupConfig(rating="note"))


def test_chinese_needs_no_spaces() -> None:
    one = "请写一首关于秋天的诗,要求每行七个字,押韵,并且提到月亮和桂花。"
    two = one.replace("月亮", "明月")
    table = pa.table(
        {"prompt": [one, two, "完全不同的问题在这里出现了吗?"], "completion": ["好"] * 3}
    )
    config = DedupConfig(threshold=0.6)
    assert labels(families(open_pool(table), config)) == [0, 0, 2]
    words = config.model_copy(update={"shingle": "word"})
    assert labels(families(open_pool(table), words)) == [0, 1, 2]


def test_a_batch_without_texts_is_refused() -> None:
    with pytest.raises(DataError, match="expected a column `prompt`"):
        ops.near_families([pa.record_batch({"text": ["a"]})])


@pytest.mark.parametrize("options", [{"bands": 3}, {"bands": 30, "rows": 10}, {"threshold": 0}])
def test_configs_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"bands|threshold"):
        DedupConfig(**options)


@pytest.mark.slow
@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_join_finds_every_pair_of_a_real_pool(shared_data: Path, threshold: float) -> None:
    table = pq.read_table(shared_data / "pools" / "pool_t0_train.parquet").slice(0, 20_000)
    rows = table.select(["instruction", "input", "output"]).to_pylist()
    texts = ["\n".join((row["instruction"], row["input"], row["output"])) for row in rows]
    found = ops.near_families([batch(texts)], threshold=threshold, shingle="word")
    sets = [reference.shingles(text) for text in texts]
    pairs = brute_force(sets, threshold)
    assert len(pairs) > 1000
    first = list(range(len(sets)))

    def root(at: int) -> int:
        while first[at] != at:
            first[at] = first[first[at]]
            at = first[at]
        return at

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        first[high] = low
    assert labels(found) == [root(at) for at in range(len(sets))]
    for at in np.flatnonzero(~found.kept):
        partner = found.partner[at]
        assert found.kept[partner]
        assert found.similarity[at] == reference.jaccard(sets[at], sets[partner]) >= threshold


def brute_force(sets: list[frozenset[tuple[str, ...]]], threshold: float) -> list[tuple[int, int]]:
    """All pairs at the threshold by counting shared shingles, with no filter."""
    numbers: dict[tuple[str, ...], int] = {}
    rows = [
        np.array([numbers.setdefault(one, len(numbers)) for one in own], np.int64) for own in sets
    ]
    sizes = np.array([len(row) for row in rows])
    owners = np.repeat(np.arange(len(rows)), sizes)
    flat = np.concatenate(rows)
    order = np.argsort(flat, kind="stable")
    holders = np.split(owners[order], np.cumsum(np.bincount(flat))[:-1])
    pairs = []
    for at, row in enumerate(rows):
        if len(row) == 0:
            pairs += [(at, int(other)) for other in np.flatnonzero(sizes == 0) if other < at]
            continue
        common = np.bincount(np.concatenate([holders[one] for one in row]), minlength=at)[:at]
        alike = common / (sizes[:at] + len(row) - common) >= threshold
        pairs += [(int(other), at) for other in np.flatnonzero(alike)]
    return pairs
