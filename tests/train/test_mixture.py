"""Samples become the token ids that inference would see; what is wrong is said by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmmixup.contract import prompt_ids
from lmmixup.errors import DataError, FileError
from lmmixup.train import GrpoConfig, SftConfig, open_mixture
from lmmixup.train.rows import grpo_rows, sft_rows

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tokenizer(model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)


@pytest.mark.torch
def test_the_loss_is_on_the_output_alone(mixture: Path, tokenizer: Any) -> None:
    samples = open_mixture(mixture, "sft").samples()
    kept = sft_rows(samples, tokenizer, SftConfig())
    assert kept.ids == [sample.id for sample in samples]
    for number, (sample, row) in enumerate(zip(samples, kept.rows, strict=True)):
        prompt = prompt_ids(sample.record, tokenizer)
        assert row["row"] == number
        assert row["input_ids"][: len(prompt)] == prompt
        assert row["labels"][: len(prompt)] == [-100] * len(prompt)
        assert row["labels"][len(prompt) :] == row["input_ids"][len(prompt) :]
        written = row["input_ids"][len(prompt) : -1]
        assert tokenizer.decode(written) == sample.target
        assert row["input_ids"][-1] == tokenizer.eos_token_id
    assert kept.longest == max(len(row["input_ids"]) for row in kept.rows)


@pytest.mark.torch
def test_the_trainer_asks_as_the_contract_does(
    mixture: Path, model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    """TRL's own tokenisation of our prompts in GRPO."""
    import trl

    samples = open_mixture(mixture, "grpo").samples()
    rows = grpo_rows(samples, tokenizer, GrpoConfig()).rows
    fake = trl.GRPOTrainer.__new__(trl.GRPOTrainer)
    vars(fake).update(_is_vlm=False, environment_factories=None, tools=[], chat_template=None,
                      chat_template_kwargs={}, processing_class=tokenizer)  # fmt: skip
    ids, _, _ = fake._tokenize_prompts([row["prompt"] for row in rows])
    assert ids == [prompt_ids(sample.record, tokenizer) for sample in samples]


@pytest.mark.torch
def test_what_is_too_long_is_left_out_whole_or_refused(mixture: Path, tokenizer: Any) -> None:
    samples = open_mixture(mixture, "sft").samples()
    lengths = sorted(
        len(row["input_ids"]) for row in sft_rows(samples, tokenizer, SftConfig()).rows
    )
    limit = lengths[len(lengths) // 2]
    kept = sft_rows(samples, tokenizer, SftConfig(max_sequence_tokens=limit))
    assert len(kept.rows) + len(kept.dropped) == len(samples)
    assert len(kept.dropped) == sum(length > limit for length in lengths) > 0
    assert kept.dropped[0][1].endswith(f"tokens, at most {limit:,}")
    with pytest.raises(DataError, match="samples are above max_sequence_tokens, the first is 'rt-"):
        sft_rows(samples, tokenizer, SftConfig(max_sequence_tokens=limit, too_long="refuse"))
    with pytest.raises(DataError, match=r"no sample is left .* all 24 are above max_prompt_tokens"):
        grpo_rows(samples, tokenizer, GrpoConfig(max_prompt_tokens=9))


def changed(mixture: Path, folder: Path, column: str, value: Any) -> Path:
    table = pq.read_table(mixture / "cold_start.parquet")
    rows = table.to_pylist()
    rows[1][column] = value
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / "cold_start.parquet")
    return folder


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("task_type", "poem", "expected a task type of qa, tfq, mcq, cs, para, got 'poem'"),
        ("prompt", "Mix!", "is not the one that the contract makes of its sources"),
        ("completion", "Q: x\nA: </answer>", "has tags of its own"),
        ("completion", "", "expected completion, got ''"),
        ("sources", [], "expected sources, got []"),
    ],
)
def test_a_broken_sample_is_named(
    mixture: Path, tmp_path: Path, column: str, value: Any, message: str
) -> None:
    folder = changed(mixture, tmp_path / "m", column, value)
    with pytest.raises(DataError) as caught:
        open_mixture(folder, "sft").samples()
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{folder / 'cold_start.parquet'}:2: ")


def test_a_folder_that_is_none(mixture: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"rl\.parquet: not found; expected a MIXTURE folder"):
        open_mixture(tmp_path, "grpo")
    (tmp_path / "rl.parquet").write_text("no parquet")
    with pytest.raises(FileError, match="expected Parquet"):
        open_mixture(tmp_path, "grpo").samples()
    table = pq.read_table(mixture / "rl.parquet")
    pq.write_table(table.drop_columns(["cot"]), tmp_path / "rl.parquet")
    with pytest.raises(DataError, match="got none named 'cot'"):
        open_mixture(tmp_path, "grpo").samples()
    pq.write_table(table.slice(0, 0), tmp_path / "rl.parquet")
    with pytest.raises(DataError, match="has no samples"):
        open_mixture(tmp_path, "grpo").samples()
