"""No clusters of given sizes can have a higher pair cosine than this: a proof by duality.

The pair cosine of a partition is the mean over records of the mean cosine to their mates. So it
is at most what every record would have if its own nearest were its mates, with the sizes dealt out
in the best way. But mates are mutual: what record i says of j may be raised by any number if what j
says of i is lowered by as much, and no partition's pair cosine changes. Every choice of these
numbers, and of a price for each size, gives a bound; a subgradient method looks for a low one.

    python benches/cluster_bound.py --pool V.npy --labels V.paper.npy  # of bench_cluster.py
    pytest benches/cluster_bound.py
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

import cluster_quality
import measure
from lmmixup import ops

NUM_NEIGHBOURS = 32


class Relaxed:
    """The relaxed problem: each record on its own, all told what the others say.

    Args:
        idx_NK: (N, K) exact neighbours, best first.
        sim_NK: (N, K) their cosines.
        sizes: Sizes of the clusters; of N records all or all but a few are in one.
    """

    def __init__(self, idx_NK: np.ndarray, sim_NK: np.ndarray, sizes: np.ndarray) -> None:
        num, k = idx_NK.shape
        self.most = int(sizes.max()) - 1
        records = np.bincount(sizes, minlength=self.most + 2) * np.arange(self.most + 2)
        self.records_of_size = records[2:].astype(float)  # by number of mates, from 1
        rows, others = np.repeat(np.arange(num), k), idx_NK.ravel().astype(np.int64)
        pair = np.minimum(rows, others) * num + np.maximum(rows, others)
        _, pair, listed = np.unique(pair, return_inverse=True, return_counts=True)
        mutual = (listed[pair] == 2).reshape(num, k)
        # Whoever is not listed is at most as near as the last who is. Where only i lists j, j may
        # hear of i up to that without a change for j: i hears the less.
        floor = sim_NK[:, -1:].astype(float)
        spare = np.maximum(0, floor[idx_NK, 0] - sim_NK)
        self.said = np.where(mutual, sim_NK, sim_NK - spare).astype(float)
        self.floors = np.repeat(floor, self.most, axis=1)
        self.pair = np.where(mutual, pair.reshape(num, k), len(listed))
        self.sign = np.where(rows < others, 1.0, -1.0).reshape(num, k)
        self.shift = np.zeros(len(listed) + 1)
        self.price = np.zeros(self.most)

    def step(self, rate: float, price_rate: float, price_rounds: int) -> float:
        """A bound from the numbers as they are, and a step of them towards a lower one."""
        heard = np.concatenate([self.said + self.sign * self.shift[self.pair], self.floors], axis=1)
        nearest = np.argpartition(-heard, self.most - 1, axis=1)[:, : self.most]
        best = np.take_along_axis(heard, nearest, axis=1)
        order = np.argsort(-best, axis=1)
        nearest, best = (np.take_along_axis(of, order, axis=1) for of in (nearest, best))
        means = np.cumsum(best, axis=1) / np.arange(1, self.most + 1)
        for turn in range(price_rounds):
            chosen = np.bincount((means - self.price).argmax(axis=1), minlength=self.most)
            self.price += (chosen - self.records_of_size) / len(means) * price_rate / (1 + turn / 3)
        worth = means - self.price
        self._agree(nearest, worth.argmax(axis=1) + 1, rate)
        least = np.sort(worth.max(axis=1))
        num = int(self.records_of_size.sum())
        total = least[len(least) - num :].sum() + self.records_of_size @ self.price
        return float(total / num)

    def _agree(self, nearest: np.ndarray, num_mates: np.ndarray, rate: float) -> None:
        """Whoever chose another hears less of it, and the other the more."""
        rows, at = np.nonzero(np.arange(self.most) < num_mates[:, None])
        column = nearest[rows, at]
        rows, column = rows[column < self.said.shape[1]], column[column < self.said.shape[1]]
        change = self.sign[rows, column] / num_mates[rows]
        self.shift -= rate * np.bincount(self.pair[rows, column], change, len(self.shift))
        self.shift[-1] = 0  # pairs that only one lists


def upper_bound(idx: np.ndarray, sim: np.ndarray, sizes: np.ndarray, *, rounds: int) -> list[float]:
    """The lowest bound after each round; the first is that of nearest neighbours alone."""
    relaxed = Relaxed(idx, sim, sizes)
    rates = 0.06 / (1 + np.arange(1, rounds) / 40) ** 0.75
    found = [relaxed.step(0.06, 0.3, 150), *(relaxed.step(rate, 0.02, 25) for rate in rates)]
    return np.minimum.accumulate(found).tolist()


def test_no_partition_is_above_the_bound() -> None:
    rng = np.random.default_rng(5)
    for sizes in ([2, 2, 2], [3, 3], [2, 4], [2, 3]):
        for _ in range(20):
            vectors = rng.normal(size=(6, 3)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            near = ops.knn(vectors, k=4)
            bound = upper_bound(near.idx_QK, near.sim_QK, np.array(sizes), rounds=30)[-1]
            labels = np.repeat(np.arange(len(sizes)), sizes)
            labels = np.append(labels, np.full(6 - len(labels), -1))
            best = max(
                np.nanmean(cluster_quality.mean_to_mates(vectors, np.array(order)))
                for order in set(itertools.permutations(labels.tolist()))
            )
            assert best <= bound + 1e-6


def main() -> None:
    """Bound the pair cosine at the sizes of a clustering, and say what share of it is reached."""
    parser = argparse.ArgumentParser(description="Upper bound of the pair cosine at given sizes.")
    parser.add_argument("--pool", type=Path, required=True, help="vectors (.npy)")
    parser.add_argument("--labels", type=Path, required=True, help="clusters (.npy), -1 for none")
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    vectors, labels = np.load(args.pool), np.load(args.labels)
    sizes = np.bincount(labels[labels >= 0])
    near = ops.knn(vectors, k=NUM_NEIGHBOURS, method="exact", num_threads=measure.NUM_THREADS)
    bounds = upper_bound(near.idx_QK, near.sim_QK, sizes[sizes > 0], rounds=args.rounds)
    theirs = float(np.nanmean(cluster_quality.mean_to_mates(vectors, labels)))
    rows = [
        {"name": name, "pair_cosine": round(value, 4), "times_labels": round(value / theirs, 4)}
        for name, value in (
            (f"labels of {args.labels.name}", theirs),
            ("bound: one's own nearest are one's mates", bounds[0]),
            ("bound: and mates are mutual", bounds[-1]),
        )
    ]
    low, high = sizes[sizes > 0].min(), sizes.max()
    title = f"Highest pair cosine that clusters of {low}..{high} records can have"
    measure.save(f"cluster_bound_{len(vectors)}_{low}_{high}", title, args.pool, rows, repeat=1)


if __name__ == "__main__":
    main()
