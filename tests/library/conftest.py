"""Rated records for the library's tests."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

TOPICS = {
    0: "weather today sunny rain",
    1: "recipe bread flour oven",
    2: "sorting lists python function",
    3: "river history empire treaty",
    4: "theorem proof lemma induction",
    5: "quantum entanglement measurement operator",
}
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]


def _rated_records(num_records: int, seed: int = 0) -> pa.Table:
    """Records whose topic says the rating, but for one in ten that is rated one off."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(num_records):
        topic = int(rng.integers(6))
        noise = " ".join(rng.choice(WORDS, 6))
        rating = topic if rng.random() > 0.1 else max(topic - 1, 0)
        words = " ".join(rng.permutation(TOPICS[topic].split()))
        rows.append(
            {
                "id": f"r{seed}-{number}",
                "prompt": f"Tell me of {words}",
                "completion": f"{words} {noise} " * (1 + topic),
                "task_type": ("qa", "para")[number % 2],
                "rating": rating,
            }
        )
    return pa.Table.from_pylist(rows)


@pytest.fixture
def rated() -> pa.Table:
    return _rated_records(300)


@pytest.fixture
def others() -> pa.Table:
    return _rated_records(80, seed=1)
