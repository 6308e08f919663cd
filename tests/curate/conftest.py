"""Ratings with known errors, on drawn and on real vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

SHARES = (0.08, 0.2, 0.27, 0.25, 0.14, 0.06)
"""True shares of the ratings 0..5."""


@dataclass(frozen=True)
class Planted:
    """Records in groups of one true rating each, a fifth of the ratings wrong."""

    vectors: npt.NDArray[np.float32]
    true: npt.NDArray[np.int64]
    observed: npt.NDArray[np.int64]

    @property
    def transitions(self) -> npt.NDArray[np.float64]:
        table = np.zeros((6, 6))
        np.add.at(table, (self.true, self.observed), 1)
        return table / table.sum(axis=1, keepdims=True)


def plant(
    vectors: npt.NDArray[np.float32], group: npt.NDArray[np.int64], flips: str, seed: int = 0
) -> Planted:
    rng = np.random.default_rng(seed)
    true = rng.choice(6, group.max() + 1, p=SHARES)[group]
    wrong = {
        "uniform": (true + rng.integers(1, 6, len(true))) % 6,
        "adjacent": np.where(rng.random(len(true)) < 0.5, true - 1, true + 1),
        # Mostly too low, by one or two; the lowest too high.
        "asymmetric": true - 1 - (rng.random(len(true)) < 0.3),
    }[flips]
    wrong = np.where(wrong < 0, 1, np.where(wrong > 5, 4, wrong))
    wrong = np.where(wrong == true, true + 1, wrong)
    observed = np.where(rng.random(len(true)) < 0.2, wrong, true)
    return Planted(vectors, true, observed)


@pytest.fixture(scope="session")
def drawn_groups() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """4,800 vectors in 600 narrow bunches of eight."""
    rng = np.random.default_rng(7)
    group = np.repeat(np.arange(600), 8)
    vectors = rng.standard_normal((600, 32))[group] + 0.2 * rng.standard_normal((4800, 32))
    return vectors.astype(np.float32), group


@pytest.fixture(scope="session")
def real_groups(shared_data: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Vectors of 45,585 real records by wordllama, one example under several templates."""
    pytest.importorskip("wordllama")
    from lmmixup.embed import embed_texts

    pool = pq.read_table(shared_data / "pools" / "pool_t0_train.parquet").to_pylist()
    groups = pq.read_table(shared_data / "aux" / "t0_groups.parquet").to_pylist()
    reliable = [at for at, row in enumerate(groups) if row["reliable"]]
    texts = [f"{pool[at]['instruction']}\n{pool[at]['output']}" for at in reliable]
    names = [(groups[at]["dataset"], groups[at]["row"]) for at in reliable]
    number = {name: at for at, name in enumerate(dict.fromkeys(names))}
    return embed_texts(texts, "wordllama"), np.array([number[name] for name in names])
