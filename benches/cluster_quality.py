"""How good clusters are, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

JUNK = 0.3
NEAR = 0.9


def mean_to_mates(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean cosine of each record to the others of its cluster; NaN for leftovers and singles."""
    inside = labels >= 0
    sums = np.zeros((labels.max() + 1, vectors.shape[1]))
    np.add.at(sums, labels[inside], vectors[inside])
    sizes = np.bincount(labels[inside], minlength=len(sums))
    own = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    others = sizes[labels] - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (np.einsum("nd,nd->n", vectors, sums[labels]) - own) / others
    return np.where(inside & (others > 0), mean, np.nan)


def to_centroid(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cosine of each clustered record to the mean of its cluster."""
    inside = labels >= 0
    sums = np.zeros((labels.max() + 1, vectors.shape[1]))
    np.add.at(sums, labels[inside], vectors[inside])
    sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return np.einsum("nd,nd->n", vectors[inside], sums[labels[inside]])


def judge(
    vectors: np.ndarray, labels: np.ndarray, nearest: np.ndarray, low: int, high: int
) -> dict[str, Any]:
    """The figures of one partition.

    Args:
        vectors: (N, D) float32, L2-normalised.
        labels: (N,) cluster of each record, -1 for leftovers.
        nearest: (N, K) exact neighbours, best first.
        low: least records of a cluster.
        high: most records of a cluster.

    Returns:
        `pair_cosine`: mean over records of the mean cosine to their mates; `junk`: share of records
        where that is under 0.3; `nd_cover`: of the records with a neighbour above 0.9, the share
        that has one of them in its cluster; `leftover`; `in_bounds`: share of clusters.
    """
    mates = mean_to_mates(vectors, labels)
    known = mates[~np.isnan(mates)]
    sizes = np.bincount(labels[labels >= 0])
    sizes = sizes[sizes > 0]
    similar = np.einsum("nd,nkd->nk", vectors, vectors[nearest[:, :8]])
    near = similar > NEAR
    together = (labels[nearest[:, :8]] == labels[:, None]) & (labels >= 0)[:, None]
    covered = (near & together).any(axis=1)[near.any(axis=1)]
    return {
        "clusters": len(sizes),
        "centroid_cosine": round(float(to_centroid(vectors, labels).mean()), 4),
        "pair_cosine": round(float(known.mean()), 4),
        "junk": round(float(np.mean(known < JUNK)), 4),
        "nd_cover": round(float(covered.mean()), 4) if len(covered) else None,
        "leftover": round(float(np.mean(labels < 0)), 5),
        "in_bounds": round(float(np.mean((sizes >= low) & (sizes <= high))), 4),
    }
