"""What SFT and GRPO changed on the same clusters: `compare.py OUT SEED...`, Markdown tables."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DRAWS = 10_000
LIMIT = 128
HEADING = (
    "| model | clusters | follows the form | cut off | content | quality | alignment | reward "
    "| tokens |"
)

Row = dict[str, Any]
Pairs = list[tuple[Row, Row]]


def main() -> None:
    """For each seed: before, SFT and GRPO; then GRPO less SFT, over all clusters and some."""
    out = Path(sys.argv[1])
    before = read(out / "before.json")
    for seed in sys.argv[2:]:
        sft, grpo = (read(out / f"seed-{seed}" / f"{name}.json") for name in ("sft", "grpo"))
        print(f"Seed {seed}:\n")
        for line in (
            HEADING,
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
            row("before", before),
            row("SFT", sft),
            row("GRPO", grpo),
        ):
            print(line)
        print("\n| GRPO less SFT | clusters | content, 95 % | longer by, tokens |")
        print("|---|--:|--:|--:|")
        pairs = list(zip(sft, grpo, strict=True))
        for name, wanted in kinds_of_pairs(pairs):
            print(difference(name, [pair for pair in pairs if wanted(*pair)]))
        print()


def row(name: str, rows: list[Row]) -> str:
    """Means of a model."""
    return (
        f"| {name} | {len(rows)} | {mean(rows, 'follows'):.1%} | "
        f"{np.mean([one['tokens'] >= LIMIT for one in rows]):.1%} | {mean(rows, 'content'):.3f} | "
        f"{mean(rows, 'quality'):.3f} | {mean(rows, 'alignment'):.3f} | {mean(rows, 'reward'):.3f} "
        f"| {mean(rows, 'tokens'):.0f} |"
    )


def kinds_of_pairs(pairs: Pairs) -> Iterator[tuple[str, Callable[[Row, Row], bool]]]:
    """Name of a part of the clusters, and what is in it."""
    yield "all", lambda *_: True
    yield "both follow the form", lambda one, other: one["follows"] and other["follows"]
    yield "lengths within a fifth", alike
    yield (
        "both",
        lambda one, other: one["follows"] and other["follows"] and alike(one, other),
    )
    for kind in sorted({one["task_type"] for one, _ in pairs}):
        yield f"`{kind}`", lambda one, _, kind=kind: one["task_type"] == kind


def alike(one: Row, other: Row) -> bool:
    """Whether two outputs are about equally long."""
    return abs(one["tokens"] - other["tokens"]) <= 0.2 * max(one["tokens"], other["tokens"])


def difference(name: str, pairs: Pairs) -> str:
    """Mean difference of content with its interval, and that of the lengths."""
    if not pairs:
        return f"| {name} | 0 | | |"
    gained = np.array([other["content"] - one["content"] for one, other in pairs])
    longer = np.mean([other["tokens"] - one["tokens"] for one, other in pairs])
    low, high = interval(gained, [one["article"] for one, _ in pairs])
    content = f"{gained.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
    return f"| {name} | {len(pairs)} | {content} | {longer:+.1f} |"


def read(path: Path) -> list[Row]:
    """Rows of `measure.py`."""
    return json.loads(path.read_text())


def mean(rows: list[Row], name: str) -> float:
    """Mean of a column over the rows that have it."""
    return float(np.mean([one[name] for one in rows if one[name] is not None]))


def interval(values: np.ndarray, articles: list[str]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean; clusters of one article are drawn together."""
    _, article_N = np.unique(articles, return_inverse=True)
    sums, counts = np.bincount(article_N, values), np.bincount(article_N)
    drawn = np.random.default_rng(0).integers(0, len(sums), (DRAWS, len(sums)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
