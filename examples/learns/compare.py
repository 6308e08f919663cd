"""What SFT and GRPO changed on the same clusters: `compare.py OUT SEED...`, a Markdown table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

DRAWS = 10_000


def main() -> None:
    """One block a seed: before, SFT, GRPO, and GRPO less SFT with its interval."""
    out = Path(sys.argv[1])
    before = read(out / "before.json")
    print("| seed | model | clusters | follows the form | content | tokens |")
    print("|--:|---|--:|--:|--:|--:|")
    for seed in sys.argv[2:]:
        folder = out / f"seed-{seed}"
        sft, grpo = read(folder / "sft.json"), read(folder / "grpo.json")
        for name, rows in (("before", before), ("SFT", sft), ("GRPO", grpo)):
            print(
                f"| {seed} | {name} | {len(rows)} | {mean(rows, 'follows'):.1%} | "
                f"{mean(rows, 'content'):.3f} | {mean(rows, 'tokens'):.0f} |"
            )
        difference = column(grpo, "content") - column(sft, "content")
        low, high = interval(difference)
        print(
            f"| {seed} | GRPO less SFT | {len(sft)} |  | {difference.mean():+.3f} "
            f"[{low:+.3f}, {high:+.3f}] |  |"
        )
        matched = at_equal_length(sft, grpo)
        low, high = interval(matched)
        average = matched.mean() if len(matched) else float("nan")
        print(
            f"| {seed} | the same, lengths within a fifth | {len(matched)} |  | {average:+.3f} "
            f"[{low:+.3f}, {high:+.3f}] |  |"
        )


def read(path: Path) -> list[dict[str, float]]:
    """Rows of `measure.py`."""
    return json.loads(path.read_text())


def column(rows: list[dict[str, float]], name: str) -> np.ndarray:
    """(N,) values."""
    return np.array([row[name] for row in rows], np.float64)


def mean(rows: list[dict[str, float]], name: str) -> float:
    """Mean of a column."""
    return float(column(rows, name).mean())


def at_equal_length(one: list[dict[str, float]], other: list[dict[str, float]]) -> np.ndarray:
    """Differences of content of the clusters whose outputs are about equally long."""
    lengths = column(one, "tokens"), column(other, "tokens")
    alike = np.abs(lengths[0] - lengths[1]) <= 0.2 * np.maximum(*lengths)
    return (column(other, "content") - column(one, "content"))[alike]


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    if not len(values):
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
