"""What was measured on, and with what."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "triton", "trl", "liger-kernel", "cut-cross-entropy", "verl", "unsloth_zoo",
            "faiss-gpu", "faiss-gpu-cu12")  # fmt: skip


def describe(rehearse: bool) -> dict[str, Any]:
    """GPU, versions, commit and date, in the form that `benches/report.py` prints."""
    import torch

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    made: dict[str, Any] = {"gpu": "none", "gpu_memory_gb": 0, "multiprocessors": 0}
    if not rehearse:
        found = torch.cuda.get_device_properties(0)
        made = {"gpu": found.name, "gpu_memory_gb": round(found.total_memory / 2**30),
                "multiprocessors": found.multi_processor_count}  # fmt: skip
    return {
        **made, "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(), "python": platform.python_version(), "versions": versions,
    }  # fmt: skip


def commit() -> str:
    """Of the checkout; of the file COMMIT where the sources came without their history."""
    root = Path(__file__).resolve().parents[2]
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True,
            check=False,
        ).stdout.strip()  # fmt: skip
    except FileNotFoundError:
        said = ""
    noted = root / "COMMIT"
    return said or (noted.read_text().strip() if noted.exists() else "unknown-dirty")
