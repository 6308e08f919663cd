"""Near-duplicate contenders: a JSONL pool in, one family label a record out.

The same for all: word 5-grams of the lower-cased record, J >= 0.7, records of fewer than five words
are one shingle. The same for the MinHash ones: 128 permutations in 16 bands of 8. Each joins what
it calls a pair into families by union. `_verified` joins only pairs whose estimated Jaccard reaches
the threshold; gaoya always does.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., np.ndarray]

NUM_PERM = 128
BANDS = 16
ROWS = NUM_PERM // BANDS
BATCH = 20_000  # records or pairs
SKETCHES = 2_000  # to_rows makes Python lists of a batch


def ours() -> Run:
    """lmmixup, the exact join."""
    return _ours("join")


def ours_minhash() -> Run:
    """lmmixup, MinHash-LSH verified by exact Jaccard."""
    return _ours("minhash")


def _ours(method: str) -> Run:
    """Rows of the result: family, kept, the kept partner of a dropped record, their Jaccard.

    Words for every script, as the peers have it; the default takes characters where there are no
    spaces.
    """
    from lmmixup.dedup import DedupConfig, families
    from lmmixup.pool import open_pool

    def run(path: Path, threshold: float = 0.7) -> np.ndarray:
        config = DedupConfig(method=method, threshold=threshold, shingle="word", shingle_size=5)
        found = families(open_pool(path), config, num_threads=2)
        return np.stack([found.family, found.kept, found.partner, found.similarity])

    return run


def gaoya() -> Run:
    """gaoya, all in Rust on its thread pool: bulk insert, then bulk query.

    It gives every record of fewer than five words the same, empty signature, so these are kept out
    of its index and joined by their normalised text, which is their exact answer.
    """
    import orjson
    from gaoya.minhash import MinHashStringIndex
    from scipy.sparse import csgraph

    def run(path: Path, threshold: float = 0.7) -> np.ndarray:
        index = MinHashStringIndex(
            32, threshold, BANDS, ROWS, None, "word", True, (5, 5), "smallvec"
        )
        texts = list(read_texts(path, orjson.loads))
        short, long_ = split_short(texts)
        for start in range(0, len(long_), BATCH):
            ids = long_[start : start + BATCH]
            index.par_bulk_insert_docs(ids, [texts[at] for at in ids])
        pairs = [join_equal(texts, short)]
        for start in range(0, len(long_), BATCH):
            ids = long_[start : start + BATCH]
            found = index.par_bulk_query([texts[at] for at in ids])
            lengths = np.fromiter(map(len, found), np.int64, len(found))
            flat = np.fromiter((b for row in found for b in row), np.int64, int(lengths.sum()))
            pairs.append(np.stack([np.repeat(np.array(ids), lengths), flat]))
        return union(np.concatenate(pairs, axis=1), len(texts), csgraph)

    return run


def rensa() -> Run:
    """rensa: every pair that shares a band."""
    return _rensa(verify=False)


def rensa_verified() -> Run:
    """rensa: pairs that share a band and whose estimated Jaccard reaches the threshold."""
    return _rensa(verify=True)


def _rensa(*, verify: bool) -> Run:
    """Digest matrices from hashed shingles (its fastest full-set path), banded in NumPy.

    Strings for shingles would take most of the time, so they are hashed from hashed words.
    Its own `RMinHashLSH` returns candidates for one Python object at a time and is slower.
    """
    import orjson
    from rensa import RMinHash
    from scipy.sparse import csgraph

    def run(path: Path, threshold: float = 0.7) -> np.ndarray:
        parts = []
        texts = read_texts(path, orjson.loads)
        while batch := list(islice(texts, SKETCHES)):
            hashes, offsets = hash_shingles(batch)
            matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, NUM_PERM, 42)
            parts.append(np.array(matrix.to_rows(), dtype=np.uint32))
        digests = np.concatenate(parts)
        parts.clear()
        return union(band_pairs(digests, threshold if verify else 0.0), len(digests), csgraph)

    return run


def datasketch() -> Run:
    """datasketch: bulk MinHash with xxhash, LSH with the same bands, every candidate pair."""
    import orjson
    import xxhash
    from datasketch import MinHash, MinHashLSH
    from scipy.sparse import csgraph

    def run(path: Path, threshold: float = 0.7) -> np.ndarray:
        lsh = MinHashLSH(threshold=threshold, num_perm=NUM_PERM, params=(BANDS, ROWS))
        tokens = (
            [one.encode() for one in set(shingles(text))] for text in read_texts(path, orjson.loads)
        )
        pairs = []
        num = 0
        options = {"num_perm": NUM_PERM, "seed": 42, "hashfunc": xxhash.xxh32_intdigest}
        for num, sketch in enumerate(MinHash.generator(tokens, **options), start=1):
            pairs += [(num - 1, other) for other in lsh.query(sketch)]
            lsh.insert(num - 1, sketch, check_duplication=False)
        return union(np.array(pairs, dtype=np.int64).reshape(-1, 2).T, num, csgraph)

    return run


def read_texts(path: Path, loads: Callable[[bytes], dict]) -> Iterator[str]:
    """The texts of a pool, in order."""
    with path.open("rb") as file:
        for line in file:
            record = loads(line)
            middle = f"\n{record['input']}" if record["input"] else ""
            yield f"{record['instruction']}{middle}\n{record['output']}"


def shingles(text: str) -> list[str]:
    """Word 5-grams of the lower-cased text."""
    words = text.lower().split()
    if len(words) < 5:
        return [" ".join(words)]
    return list(map(" ".join, zip(*(words[at:] for at in range(5)), strict=False)))


def hash_shingles(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The same 5-grams as 64-bit hashes: all records' in one array, and where each one's start."""
    words = [text.lower().split() for text in texts]
    padded = [w if len(w) >= 5 else [*w, *[""] * (5 - len(w))] for w in words]
    lengths = np.fromiter(map(len, padded), np.int64, len(padded))
    ends = np.cumsum(lengths)
    hashed = np.fromiter(map(hash, chain.from_iterable(padded)), np.int64, int(ends[-1]))
    one = hashed.view(np.uint64)
    mixed = np.zeros(len(one) - 4, dtype=np.uint64)
    for at in range(5):
        mixed = (mixed ^ one[at : at + len(mixed)]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(31)
    inside = np.ones(len(one), dtype=bool)
    for at in range(1, 5):
        inside[ends - at] = False
    return mixed[inside[:-4]], np.concatenate([[0], np.cumsum(lengths - 4)]).astype(np.uint64)


def split_short(texts: list[str]) -> tuple[list[int], list[int]]:
    """Record numbers with fewer than five words, and the others."""
    short, long_ = [], []
    for at, text in enumerate(texts):
        (short if len(text.split(None, 4)) < 5 else long_).append(at)
    return short, long_


def join_equal(texts: list[str], rows: list[int]) -> np.ndarray:
    """Pairs (2, P) of records with the same normalised text."""
    first: dict[str, int] = {}
    pairs = [(at, first.setdefault(shingles(texts[at])[0], at)) for at in rows]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2).T


def band_pairs(digests: np.ndarray, threshold: float) -> np.ndarray:
    """Pairs (2, P) that share a band: each with the first there, or all verified ones (> 0)."""
    codes = []
    for band in range(BANDS):
        part = np.ascontiguousarray(digests[:, band * ROWS : (band + 1) * ROWS])
        order, starts, sizes = group_rows(part)
        if not threshold:
            first = np.repeat(order[starts], sizes)
            codes.append(first * len(digests) + order)
            continue
        for size in np.unique(sizes[sizes > 1]):
            rows = order[starts[sizes == size][:, None] + np.arange(size)]
            left, right = np.triu_indices(size, 1)
            codes.append((rows[:, left] * len(digests) + rows[:, right]).ravel())
    pairs = np.stack(np.divmod(np.unique(np.concatenate(codes)), len(digests)))
    return verify(digests, pairs, threshold) if threshold else pairs


def group_rows(part: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equal rows together: an order, where each group starts in it, and its size."""
    key = part.view(np.dtype((np.void, part.itemsize * ROWS))).ravel()
    order = np.argsort(hash_rows(part), kind="stable")
    ordered = key[order]
    edges = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1], [True]]))
    return order, edges[:-1], np.diff(edges)


def hash_rows(part: np.ndarray) -> np.ndarray:
    """A 64-bit mix of each row, only to sort by: equality is checked on the rows themselves."""
    mixed = np.zeros(len(part), dtype=np.uint64)
    for column in part.T:
        mixed = (mixed ^ column) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def verify(digests: np.ndarray, pairs: np.ndarray, threshold: float) -> np.ndarray:
    """The pairs whose signatures agree in enough places."""
    kept = []
    for start in range(0, pairs.shape[1], BATCH):
        some = pairs[:, start : start + BATCH]
        agree = np.count_nonzero(digests[some[0]] == digests[some[1]], axis=1)
        kept.append(some[:, agree >= threshold * NUM_PERM])
    return np.concatenate([np.empty((2, 0), np.int64), *kept], axis=1)


def union(pairs: np.ndarray, num: int, csgraph: object) -> np.ndarray:
    """Connected components of the pairs: (num,) labels."""
    from scipy import sparse

    ones = np.ones(pairs.shape[1], dtype=np.int8)
    graph = sparse.coo_array((ones, (pairs[0], pairs[1])), shape=(num, num))
    return csgraph.connected_components(graph.tocsr(), directed=False)[1].astype(np.int64)
