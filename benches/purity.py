"""What vectors, clusters and families are worth where the truth is known.

* `t0_groups`: the same example under 4 to 13 templates. Of drawn records, how often the nearest
  neighbour is of the same group; how pure clusters and lexical families are.
* `alpaca_eval`: 46 models answer 805 prompts. How often the nearest neighbour of a record, or of an
  answer alone, belongs to the same prompt.
* `stsb_en`: Spearman correlation of cosine and human similarity.

    python benches/purity.py --data ../shared/data --embedders lexical wordllama
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
from scipy.stats import spearmanr

import measure
import truth
from contenders import embed, knn

EMBEDDERS = ("lexical", "wordllama", "wordllama_package")
SAMPLE = 5_000


def embed_texts(name: str, texts: list[str]) -> np.ndarray:
    """Vectors (N, D) by one of our embedders or by the wordllama package."""
    if name == "wordllama_package":
        return embed.embed_by_package(embed.load_wordllama(), texts)
    from lmmixup.embed import EmbedConfig
    from lmmixup.embed import embed_texts as ours

    return ours(texts, EmbedConfig(embedder=name, cache="none"))


def read_t0(data: Path) -> tuple[list[str], np.ndarray]:
    """Texts of the reliable T0 records and the number of each one's group."""
    pool = pq.read_table(data / "pools" / "pool_t0_train.parquet")
    groups = pq.read_table(data / "aux" / "t0_groups.parquet").to_pylist()
    known = {row["id"]: f"{row['dataset']}/{row['row']}" for row in groups if row["reliable"]}
    rows = [row for row in pool.to_pylist() if row["id"] in known]
    numbers = np.unique([known[row["id"]] for row in rows], return_inverse=True)[1]
    return [truth.record_text(row) for row in rows], numbers


def same_as_nearest(vectors: np.ndarray, numbers: np.ndarray) -> float:
    """Share of drawn records whose nearest neighbour has the same number."""
    rng = np.random.default_rng(1)
    rows = np.sort(rng.choice(len(vectors), min(SAMPLE, len(vectors)), replace=False))
    nearest = knn.nearest(np.ascontiguousarray(vectors), rows, 1)[:, 0]
    return float(np.mean(numbers[nearest] == numbers[rows]))


def purity(labels: np.ndarray, numbers: np.ndarray) -> float:
    """Share of pairs inside clusters (or families) whose two records have the same number."""
    inside = labels >= 0
    labels, numbers = labels[inside], numbers[inside]
    sizes = np.bincount(labels)
    both = np.unique(labels * (numbers.max() + 1) + numbers, return_counts=True)[1]
    pairs = (sizes * (sizes - 1)).sum()
    return float((both * (both - 1)).sum() / pairs) if pairs else 1.0


def found_together(labels: np.ndarray, numbers: np.ndarray) -> float:
    """Share of pairs with the same number that stand in one cluster (or family)."""
    return purity(numbers, labels)


def judge_families(texts: list[str], numbers: np.ndarray) -> dict[str, Any]:
    """The lexical families of the T0 records, at two thresholds."""
    from lmmixup.dedup import DedupConfig, families
    from lmmixup.pool import open_pool

    out: dict[str, Any] = {"name": "families"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t0.jsonl"
        lines = (orjson.dumps({"prompt": text, "completion": ""}) + b"\n" for text in texts)
        path.write_bytes(b"".join(lines))
        for threshold in (0.5, 0.7):
            found = families(open_pool(path), DedupConfig(threshold=threshold))
            labels = found.family.astype(np.int64)
            out[f"purity@{threshold}"] = round(purity(labels, numbers), 4)
            out[f"found@{threshold}"] = round(found_together(labels, numbers), 4)
    return out


def judge_embedder(name: str, data: Path, *, clusters: bool) -> dict[str, Any]:
    """All figures of one embedder."""
    out: dict[str, Any] = {"name": name}
    texts, numbers = read_t0(data)
    start = time.perf_counter()
    vectors = embed_texts(name, texts)
    out["records_per_s"] = round(len(texts) / (time.perf_counter() - start))
    out["t0_nearest"] = round(same_as_nearest(vectors, numbers), 4)
    if clusters:
        from lmmixup.cluster import ClusterConfig, cluster_vectors

        for low, high, mean, std in ((2, 5, 3, 1), (2, 25, 10, 3)):
            config = ClusterConfig(min=low, max=high, mean=mean, std=std, seed=7)
            labels = cluster_vectors(vectors, config).labels.astype(np.int64)
            out[f"t0_clusters_{low}_{high}"] = round(purity(labels, numbers), 4)
    answers = pq.read_table(data / "pools" / "pool_alpaca_eval_outputs.parquet").to_pylist()
    prompts = np.array([int(row["id"].rsplit("/", 1)[1]) for row in answers])
    records = embed_texts(name, [truth.record_text(row) for row in answers])
    out["alpaca_eval_record"] = round(same_as_nearest(records, prompts), 4)
    alone = embed_texts(name, [row["output"] for row in answers])
    out["alpaca_eval_answer"] = round(same_as_nearest(alone, prompts), 4)
    out["stsb_spearman"] = round(correlate_with_people(name, data), 4)
    return out


def correlate_with_people(name: str, data: Path) -> float:
    """Spearman correlation of cosines with the STS-B scores, over all splits."""
    pairs = pq.read_table(data / "aux" / "stsb_en.parquet")
    left, right = (
        embed_texts(name, pairs.column(column).to_pylist()) for column in ("sentence1", "sentence2")
    )
    cosine = np.einsum("nd,nd->n", left, right)
    return float(spearmanr(cosine, pairs.column("score").to_numpy()).statistic)


def main() -> None:
    """Judge the embedders and the families, write the results."""
    parser = argparse.ArgumentParser(description="Purity where the truth is known.")
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("LMMIXUP_TEST_DATA", default))
    )
    parser.add_argument("--embedders", nargs="+", choices=EMBEDDERS, default=list(EMBEDDERS))
    parser.add_argument("--no-clusters", action="store_true")
    parser.add_argument("--no-families", action="store_true")
    args = parser.parse_args()
    rows = [judge_embedder(e, args.data, clusters=not args.no_clusters) for e in args.embedders]
    if not args.no_families:
        rows.append(judge_families(*read_t0(args.data)))
    measure.save("purity", "Purity on known groups", args.data / "aux", rows)


if __name__ == "__main__":
    main()
