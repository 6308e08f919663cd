"""What clusters and families are worth where it is known which records belong together.

* `t0_groups`: 7,400 examples, each under 4 to 13 templates; the reliable rows.
* `alpaca_eval`: 46 models answer 805 prompts. The answers are embedded without their prompt, so
  that only what they say can bring them together.

`purity`: mean over records in a cluster of the share of its mates that are of the same group.
`found`: share of the pairs of one group that stand in one cluster. `nearest`: share of drawn
records whose nearest neighbour is of the same group.

    python benches/purity.py --data ../shared/data --embedders lexical wordllama
    pytest benches/purity.py
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import embed_quality as quality
import measure
from lmmixup.cluster import ClusterConfig, cluster_vectors
from lmmixup.dedup import DedupConfig, families
from lmmixup.embed import EmbedConfig, embed_texts
from lmmixup.pool import open_pool

SIZES = ((2, 5, 3, 1), (2, 25, 10, 3))
THRESHOLDS = (0.5, 0.7)


def purity(labels: np.ndarray, groups: np.ndarray) -> float:
    """Mean over records with cluster mates of the share that is of their own group."""
    inside = labels >= 0
    labels, groups = labels[inside], groups[inside]
    sizes = np.bincount(labels)[labels]
    same = _same(labels, groups)
    several = sizes > 1
    return float(np.mean((same[several] - 1) / (sizes[several] - 1)))


def found(labels: np.ndarray, groups: np.ndarray) -> float:
    """Share of the pairs of one group that are in one cluster."""
    sizes = np.bincount(groups)
    together = (_same(labels, groups) - 1)[labels >= 0].sum()
    return float(together / (sizes * (sizes - 1)).sum())


def _same(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Of each record, how many have its label and its group."""
    pairs = (labels.astype(np.int64) + 1) * (groups.max() + 1) + groups
    _, at, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    return counts[at]


def judge_clusters(embedder: str, texts: list[str], groups: np.ndarray) -> dict[str, Any]:
    """Nearest neighbours and clusters of one set of texts."""
    start = time.perf_counter()
    vectors = embed_texts(texts, EmbedConfig(embedder=embedder, cache="none"))
    out = {"seconds_to_embed": round(time.perf_counter() - start, 2)}
    out["nearest"] = round(quality.same_as_nearest(vectors, groups)[0], 4)
    for low, high, mean, std in SIZES:
        config = ClusterConfig(min=low, max=high, mean=mean, std=std)
        labels = cluster_vectors(vectors, config).labels
        out[f"purity_{low}_{high}"] = round(purity(labels, groups), 4)
        out[f"found_{low}_{high}"] = round(found(labels, groups), 4)
    return out


def judge_families(texts: list[str], groups: np.ndarray) -> dict[str, Any]:
    """Lexical families, and whether a record falls to another version of its own example."""
    out: dict[str, Any] = {}
    pool = open_pool(pa.table({"prompt": texts, "completion": [""] * len(texts)}))
    for threshold in THRESHOLDS:
        result = families(pool, DedupConfig(threshold=threshold))
        out[f"purity@{threshold}"] = round(purity(result.family, groups), 4)
        out[f"found@{threshold}"] = round(found(result.family, groups), 4)
        dropped = np.flatnonzero(~result.kept)
        own = groups[result.partner[dropped]] == groups[dropped]
        out[f"dropped@{threshold}"] = round(len(dropped) / len(texts), 4)
        out[f"dropped_for_own@{threshold}"] = round(float(own.mean()), 4)
    return out


def read_answers(data: Path, max_groups: int | None) -> tuple[list[str], np.ndarray]:
    """Answers and the number of each one's prompt, of the first prompts."""
    table = pq.read_table(data / "pools" / "pool_alpaca_eval_outputs.parquet")
    prompts = np.unique(table.column("instruction").to_pylist(), return_inverse=True)[1]
    rows = np.flatnonzero(prompts < (max_groups or len(prompts)))
    return table.column("output").take(pa.array(rows)).to_pylist(), prompts[rows]


def judge(data: Path, embedders: list[str], max_groups: int | None) -> list[dict[str, Any]]:
    """A row for each set and embedder, and one for the families of each set."""
    rows = []
    for name, read in (("t0_groups", quality.t0), ("answers", read_answers)):
        texts, groups = read(data, max_groups)
        about = {"set": name, "records": len(texts), "groups": len(np.unique(groups))}
        for embedder in embedders:
            rows.append(about | {"name": embedder} | judge_clusters(embedder, texts, groups))
            print(rows[-1], file=sys.stderr, flush=True)
        rows.append(about | {"name": "families"} | judge_families(texts, groups))
    return rows


def test_clusters_are_purer_than_chance(shared_data: Path) -> None:
    for row in judge(shared_data, ["lexical"], 60):
        if row["name"] == "lexical":
            assert min(row["purity_2_5"], row["purity_2_25"]) > 0.7


def main() -> None:
    """Judge the embedders and the families, write the results."""
    parser = argparse.ArgumentParser(description="Purity where the truth is known.")
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("LMMIXUP_TEST_DATA", default))
    )
    parser.add_argument("--embedders", nargs="+", default=["lexical", "wordllama"])
    parser.add_argument("--groups", type=int, help="only the first groups and prompts")
    parser.add_argument("--name", default="purity", help="of the file in results/")
    args = parser.parse_args()
    rows = judge(args.data, args.embedders, args.groups)
    title = "Clusters and families of records that are known to belong together"
    measure.save(args.name, title, args.data / "aux" / "t0_groups.parquet", rows)


if __name__ == "__main__":
    main()
