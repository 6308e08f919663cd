"""Write benches/results/README.md from the JSON files beside it: `python benches/report.py`."""

from __future__ import annotations

import json
from typing import Any

from measure import RESULTS

HEAD = """# Results

Written by `benches/report.py` from the JSON files in this folder; how each is measured is in
[`../README.md`](../README.md). Seconds are medians over the rounds. `times_ours` is the median
over the rounds of their seconds by ours in the same round. `peak_mb` is the high-water mark of the
resident size above what was resident after the imports, `peak_total_mb` is all of it.
"""
HIDDEN = {"all_seconds"}


def format_value(value: Any) -> str:
    """A cell of a table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def format_table(rows: list[dict[str, Any]]) -> str:
    """Markdown of some rows; a column is what any row has."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    columns = [name for name in columns if name not in HIDDEN]
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|--:" * (len(columns) - 1) + "|"]
    cells = ([format_value(row.get(name)) for name in columns] for row in rows)
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in cells)])


def format_machine(machine: dict[str, Any]) -> str:
    """One line of what was measured on, and with what."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    if "gpu" in machine:
        return (
            f"{machine['gpu']}, {machine['gpu_memory_gb']} GiB; {machine['date']}, "
            f"commit {machine['commit']}; Python {machine['python']}, {versions}"
        )
    return (
        f"{machine['cpu']} ({machine['simd']}), {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, {machine['threads']} threads; "
        f"{machine['date']}, commit {machine['commit']}; "
        f"Python {machine['python']}, {versions}"
    )


def main() -> None:
    """Read every result, write the page."""
    parts = [HEAD]
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        about = f"{format_machine(result['machine'])}; rounds: {result.get('repeat', 1)}."
        parts.append(f"## {result['title']}\n\n{format_table(result['rows'])}\n\n{about}\n")
    (RESULTS / "README.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
