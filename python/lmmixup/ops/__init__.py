"""The one seam where an operation meets its backend.

Every function here takes and gives NumPy or Arrow arrays, checks what Rust cannot say well,
and calls the compiled module. `lmmixup.reference` holds the plain truth of each.
"""

from collections.abc import Callable

from lmmixup.ops.against import Matches, matches
from lmmixup.ops.cluster import (
    cluster_graph,
    cluster_mergeit,
    cluster_paper,
    cluster_quality,
    draw_sizes,
    most_partitionable,
)
from lmmixup.ops.embed import embed_lexical, embed_static
from lmmixup.ops.extract import Extracts, extract
from lmmixup.ops.faithfulness import Faithfulness, check_faithfulness
from lmmixup.ops.families import (
    Families,
    KeepRule,
    exact_families,
    minhash_families,
    near_families,
)
from lmmixup.ops.index import Index, IndexInfo
from lmmixup.ops.knn import EXACT_UP_TO, Neighbours, Prepared, knn
from lmmixup.ops.knn_bayes import (
    KnnBayes,
    histogram_rank,
    histograms,
    knn_bayes,
    label_counts,
    posterior,
    posterior_table,
    transition,
)
from lmmixup.ops.pack import pack
from lmmixup.ops.semantic import semantic_families

OnProgress = Callable[[str, int, int], None]
"""What a long operation calls some ten times a second with phase, done and total."""

__all__ = [
    "EXACT_UP_TO",
    "Extracts",
    "Faithfulness",
    "Families",
    "Index",
    "IndexInfo",
    "KeepRule",
    "KnnBayes",
    "Matches",
    "Neighbours",
    "OnProgress",
    "Prepared",
    "check_faithfulness",
    "cluster_graph",
    "cluster_mergeit",
    "cluster_paper",
    "cluster_quality",
    "draw_sizes",
    "embed_lexical",
    "embed_static",
    "exact_families",
    "extract",
    "histogram_rank",
    "histograms",
    "knn",
    "knn_bayes",
    "label_counts",
    "matches",
    "minhash_families",
    "most_partitionable",
    "near_families",
    "pack",
    "posterior",
    "posterior_table",
    "semantic_families",
    "transition",
]
