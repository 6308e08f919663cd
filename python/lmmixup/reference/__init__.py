"""Plain truth of every operation: slow, obvious, and what the tests compare with."""

from lmmixup.reference.cluster import cluster_quality
from lmmixup.reference.embed import embed_lexical, lexical_words
from lmmixup.reference.extract import extract
from lmmixup.reference.faithfulness import check_faithfulness
from lmmixup.reference.families import families_of, jaccard, semantic_families, shingles
from lmmixup.reference.knn import knn
from lmmixup.reference.knn_bayes import posterior, transition
from lmmixup.reference.pack import pack

__all__ = [
    "check_faithfulness",
    "cluster_quality",
    "embed_lexical",
    "extract",
    "families_of",
    "jaccard",
    "knn",
    "lexical_words",
    "pack",
    "posterior",
    "semantic_families",
    "shingles",
    "transition",
]
