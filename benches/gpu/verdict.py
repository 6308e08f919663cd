"""What a part found, for the terminal, and whether targets are met."""

from __future__ import annotations

from typing import Any

TARGETS = {
    ("forward", "ours"): 0.75,
    ("frozen", "trl"): 1.5,
    ("frozen", "unsloth"): 1.25,
    ("full", "trl"): 1.4,
    ("full", "verl"): 2.0,
    ("full", "liger"): 3.0,
    ("full", "liger_grpo"): 3.0,
    ("topk", "torch"): 1.3,
}
"""What is to be reached on an H100: our share of cuBLAS' rate, or a peer's time by ours."""


def judge(row: dict[str, Any], device: str) -> dict[str, Any]:
    """The row with `target` and whether it is `met`, where there is one; a CPU has none."""
    if device != "cuda":
        return row
    ours = row["name"].startswith("ours")
    wanted = TARGETS.get((row.get("case", ""), "ours" if ours else row["name"]))
    got = row.get("cublas_share" if ours else "times_ours")
    if wanted is None or got is None:
        return row
    return {**row, "target": wanted, "met": got >= wanted}


def show(document: dict[str, Any]) -> bool:
    """Prints a part; whether it came to its end and every check in it passed."""
    print(f"\n{document['title']} ({document['seconds']} s)")
    for row in document["rows"]:
        values = "  ".join(
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in row.items()
            if key != "name" and value is not None
        )
        missed = "  MISSED" if row.get("met") is False or row.get("passed") is False else ""
        print(f"  {row['name']:18} {values}{missed}")
    if "stopped" in document:
        print(f"  stopped: {document['stopped']}")
    return "stopped" not in document and all(r.get("passed", True) for r in document["rows"])
