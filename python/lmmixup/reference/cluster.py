"""Quality figures of clusters by their definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def cluster_quality(vectors_ND: NDArray[np.float32], labels_N: NDArray[np.int32]) -> dict[str, Any]:
    """What `ops.cluster_quality` gives without neighbours, pair by pair in float64.

    Args:
        vectors_ND: (N, D) float32, rows of length 1 or 0.
        labels_N: (N,) int32, -1 outside.

    Returns:
        The same keys as `ops.cluster_quality`, less those that need neighbours.
    """
    cosines = vectors_ND.astype(np.float64) @ vectors_ND.T.astype(np.float64)
    lengths = np.linalg.norm(vectors_ND.astype(np.float64), axis=1)
    to_centroid, to_mates = np.full((2, len(labels_N)), np.nan)
    pair_cosine, pairs = [], []
    for label in range(labels_N.max(initial=-1) + 1):
        members = np.flatnonzero(labels_N == label)
        centroid = vectors_ND[members].astype(np.float64).mean(axis=0)
        scale = lengths[members] * np.linalg.norm(centroid)
        products = vectors_ND[members] @ centroid
        to_centroid[members] = np.where(scale > 0, products / np.where(scale > 0, scale, 1), 0)
        own = cosines[np.ix_(members, members)]
        off_diagonal = own[~np.eye(len(members), dtype=bool)]
        if len(members) > 1:
            to_mates[members] = off_diagonal.reshape(len(members), -1).mean(axis=1)
        pair_cosine.append(off_diagonal.mean() if len(members) > 1 else np.nan)
        pairs.append(off_diagonal)
    inside = to_centroid[labels_N >= 0]
    mates = to_mates[~np.isnan(to_mates)]
    everyone = cosines[~np.eye(len(labels_N), dtype=bool)]
    return {
        "to_centroid": to_centroid,
        "to_mates": to_mates,
        "cluster_pair_cosine": np.array(pair_cosine),
        "sizes": np.bincount(labels_N[labels_N >= 0]),
        "centroid_mean": inside.mean(),
        "centroid_p10": np.quantile(inside, 0.1),
        "pair_mean": np.concatenate(pairs).mean() if mates.size else np.nan,
        "junk_share": (mates < 0.3).mean() if mates.size else np.nan,
        "random_pair_mean": everyone.mean(),
    }
