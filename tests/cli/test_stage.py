"""What a stage says of its result at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lmmixup.cli.stage import show_result
from lmmixup.stage import StageResult

if TYPE_CHECKING:
    import pytest


def test_a_line_each_with_short_tallies(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {"input": 1200, "kept": 1000, "used": 0, "leftover": 0, "made": 0,
              "dropped": {"near-duplicate": 150}, "rejected": {"json": 50}}  # fmt: skip
    figures = {
        "mean_size": 2.99314,
        "ratings": {"0": 400, "5": 1600},
        "identity": {"embedder": "lexical"},
        "sizes": {str(size): 1 for size in range(13)},
        "reasons": {},
    }
    outputs = {"data.parquet": {}, "state.json": {}}
    manifest = {"counts": counts, "figures": figures, "outputs": outputs}
    name = "what is told of a file may be longer than a terminal is wide: " + "x" * 80
    show_result(StageResult(Path("out"), manifest), {"data.parquet": name})
    assert capsys.readouterr().out.splitlines() == [
        "records in               1,200",
        "kept                     1,000",
        "dropped: near-duplicate  150",
        "rejected: json           50",
        "mean size                2.993",
        "ratings                  0: 400, 5: 1,600",
        "",
        f"out/data.parquet   {name}",
        "out/rejects.jsonl  what could not be used, and why",
    ]
