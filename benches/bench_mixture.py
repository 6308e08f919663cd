"""How long `lmmixup mixture build --teacher rules` takes: `bench_mixture.py PARAGRAPHS.parquet`.

The whole command, its start and the libraries included, with all defaults: five task types.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import measure
from commands import timed


def main() -> None:
    """Measure once, write the result."""
    texts = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "mixture"
        told = timed("mixture", "build", str(texts), "-o", str(output), "-q")
        manifest = json.loads((output / "manifest.json").read_text())
    counts = {name: manifest["counts"][name] for name in ("input", "used", "made")}
    row = {"name": "rules", **counts, **told}
    measure.save("mixture_rules", "Building MIXTURE by rules, five task types", texts, [row])


if __name__ == "__main__":
    main()
