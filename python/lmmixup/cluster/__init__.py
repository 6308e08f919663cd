"""Capacity-bounded clusters of similar records: the input of distillation."""

from lmmixup.cluster.config import ClusterConfig
from lmmixup.cluster.stage import run
from lmmixup.cluster.vectors import Clusters, Fate, cluster_vectors

__all__ = ["ClusterConfig", "Clusters", "Fate", "cluster_vectors", "run"]
