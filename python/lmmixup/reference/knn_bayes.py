"""KNN-Bayes record by record, as METHOD §5 says it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def transition(
    labels_N: npt.NDArray[np.integer],
    idx_NK: npt.NDArray[np.int32],
    *,
    num_classes: int,
    smoothing: float = 0.01,
) -> npt.NDArray[np.float64]:
    """Shares of the neighbours' labels for each label, by counting one pair at a time.

    Args:
        labels_N: (N,) labels.
        idx_NK: (N, K) neighbours of each row.
        num_classes: C.
        smoothing: Added to each count.

    Returns:
        (C, C) float64.

    Example:
        >>> transition(np.array([0, 1]), np.array([[1], [0]]), num_classes=2).argmax(1).tolist()
        [1, 0]
    """
    counts = [[smoothing] * num_classes for _ in range(num_classes)]
    for row, neighbours in enumerate(idx_NK):
        for neighbour in neighbours:
            if neighbour >= 0:
                counts[int(labels_N[row])][int(labels_N[neighbour])] += 1
    return np.array([[count / sum(row) for count in row] for row in counts])


def posterior(
    neighbour_labels: npt.NDArray[np.integer],
    prior_C: npt.NDArray[np.float64],
    transition_CC: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Posterior of one query, one neighbour at a time.

    Args:
        neighbour_labels: (K,) labels of its neighbours.
        prior_C: (C,) shares of the classes.
        transition_CC: (C, C).

    Returns:
        (C,) float64.

    Example:
        >>> posterior(np.array([1]), np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]]))
        array([0.11111111, 0.88888889])
    """
    scores = []
    for cls, share in enumerate(prior_C):
        score = math.log(share) if share > 0 else -math.inf
        scores.append(
            score + sum(math.log(transition_CC[cls, label]) for label in neighbour_labels)
        )
    highest = max(scores)
    weights = [math.exp(score - highest) for score in scores]
    return np.array(weights) / sum(weights)
