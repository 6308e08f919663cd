"""How good the vectors of each embedder are, on data with known answers.

python benches/embed_quality.py --data ../shared/data --embedders lexical wordllama

- stsb_en: Spearman correlation of cosine and human similarity.
- t0_groups: share of a record's 1 and 5 nearest neighbours that are the same example under
  another template (`reliable` rows).
- alpaca_eval: the same for answers of different models to one prompt.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from lmmixup.embed import EmbedConfig, embed_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

QUERIES = 4_000


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks with ties at their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(left: np.ndarray, right: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return float(np.corrcoef(ranks(left), ranks(right))[0, 1])


def record_texts(path: Path) -> list[str]:
    """Prompt, newline, completion."""
    columns = pq.read_table(path, columns=["instruction", "input", "output"]).to_pydict()
    return [
        f"{a}\n{b}\n{c or ''}" if b else f"{a}\n{c or ''}"
        for a, b, c in zip(columns["instruction"], columns["input"], columns["output"], strict=True)
    ]


def same_as_nearest(
    vectors: np.ndarray, groups: np.ndarray, ks: Sequence[int] = (1, 5)
) -> list[float]:
    """Share of the k nearest neighbours that are of the record's own group, over drawn records."""
    rng = np.random.default_rng(1)
    queries = rng.choice(len(vectors), min(QUERIES, len(vectors)), replace=False)
    shares: list[list[np.ndarray]] = [[] for _ in ks]
    for start in range(0, len(queries), 500):
        rows = queries[start : start + 500]
        cosine = vectors[rows] @ vectors.T
        cosine[np.arange(len(rows)), rows] = -9
        nearest = np.argpartition(-cosine, max(ks), axis=1)[:, : max(ks)]
        order = np.argsort(-np.take_along_axis(cosine, nearest, 1), axis=1, kind="stable")
        nearest = np.take_along_axis(nearest, order, 1)
        same = groups[nearest] == groups[rows][:, None]
        for at, k in enumerate(ks):
            shares[at].append(same[:, :k].mean(axis=1))
    return [float(np.concatenate(share).mean()) for share in shares]


def t0(data: Path, max_groups: int | None) -> tuple[list[str], np.ndarray]:
    """Texts and groups of the reliable rows, of the first groups of a seeded order."""
    table = pq.read_table(data / "aux" / "t0_groups.parquet").to_pydict()
    pool = data / "pools" / "pool_t0_train.parquet"
    ids = pq.read_table(pool, columns=["id"]).column("id").to_pylist()
    text_of = dict(zip(ids, record_texts(pool), strict=True))
    rows = [row for row, reliable in enumerate(table["reliable"]) if reliable]
    names = [f"{table['dataset'][row]}/{table['row'][row]}" for row in rows]
    groups = np.unique(names, return_inverse=True)[1]
    order = np.random.default_rng(2).permutation(groups.max() + 1)
    keep = np.isin(groups, order[:max_groups])
    texts = [text_of[table["id"][row]] for row, kept in zip(rows, keep, strict=True) if kept]
    return texts, groups[keep]


def main() -> None:
    """Print a row of figures for each embedder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--embedders", nargs="+", default=["lexical", "wordllama"])
    parser.add_argument("--dim", type=int, help="dimensions of lexical")
    parser.add_argument("--groups", type=int, help="groups of t0 and prompts of alpaca_eval")
    args = parser.parse_args()
    stsb = pq.read_table(args.data / "aux" / "stsb_en.parquet").to_pydict()
    pairs = stsb["sentence1"] + stsb["sentence2"]
    gold, test = np.array(stsb["score"]), np.array(stsb["split"]) == "test"
    t0_texts, t0_groups = t0(args.data, args.groups)
    answers = args.data / "pools" / "pool_alpaca_eval_outputs.parquet"
    prompts = pq.read_table(answers, columns=["instruction"]).column(0).to_pylist()
    prompt_of = np.unique(prompts, return_inverse=True)[1]
    keep = np.flatnonzero(prompt_of < (args.groups or len(prompts)) // 6)[::4]
    keep = keep if args.groups else np.arange(0, len(prompts), 4)
    answer_texts = record_texts(answers)
    print("embedder | stsb all | stsb test | t0 @1 | t0 @5 | alpaca_eval @1 | @5 | t0 texts/s")
    for name in args.embedders:
        config = EmbedConfig(
            embedder=name, dim=args.dim if name == "lexical" else None, cache="none"
        )
        vectors = embed_texts(pairs, config)
        cosine = (vectors[: len(gold)] * vectors[len(gold) :]).sum(axis=1)
        start = time.perf_counter()
        t0_vectors = embed_texts(t0_texts, config)
        rate = len(t0_texts) / (time.perf_counter() - start)
        figures = [
            spearman(cosine, gold),
            spearman(cosine[test], gold[test]),
            *same_as_nearest(t0_vectors, t0_groups),
            *same_as_nearest(
                embed_texts([answer_texts[row] for row in keep], config), prompt_of[keep]
            ),
        ]
        print(name, *(f"{figure:.3f}" for figure in figures), f"{rate:,.0f}", sep=" | ", flush=True)


if __name__ == "__main__":
    main()
