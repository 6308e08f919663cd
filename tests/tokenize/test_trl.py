"""Packed rows train in TRL as they are, with the loss of TRL's own path."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lmmixup.pool import open_pool
from lmmixup.tokenize import TokenizeConfig, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

NUM_CHATS = 40
MAX_TOKENS = 512


@pytest.fixture
def pairs(example_pool: Path) -> list[dict[str, Any]]:
    """Real prompts and answers; a few answers begin with a newline."""
    rows = [json.loads(line) for line in example_pool.read_text(encoding="utf-8").splitlines()]
    pairs = []
    for number, row in enumerate(rows[:NUM_CHATS]):
        prompt = "\n".join(filter(None, (row["instruction"], row.get("input"))))
        answer = "\n" * (number % 7 == 0) + row["output"]
        pairs.append(
            {
                "prompt": [{"role": "user", "content": prompt}],
                "completion": [{"role": "assistant", "content": answer}],
            }
        )
    return pairs


def first_step(dataset: Any, model: Path, folder: Path, **options: Any) -> tuple[list[float], Any]:
    """Loss and norm of the gradient over all rows at once, and the rows that TRL trained on."""
    import transformers
    from trl import SFTConfig, SFTTrainer

    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(model / "tokenizer.json"),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=(model / "chat_template.jinja").read_text(),
    )
    transformers.set_seed(7)
    shape = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.5,  # each token has a loss of its own, so that a wrong mask shows
    )  # fmt: skip
    args = SFTConfig(
        output_dir=str(folder), max_steps=1, per_device_train_batch_size=NUM_CHATS,
        learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none", use_cpu=True,
        bf16=False, **options,
    )  # fmt: skip
    trainer = SFTTrainer(
        transformers.LlamaForCausalLM(shape), args, train_dataset=dataset,
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    said = trainer.state.log_history[0]
    return [float(said["loss"]), float(said["grad_norm"])], trainer.train_dataset


def test_loss_is_that_of_its_own_path(
    model: Path, tmp_path: Path, pairs: list[dict[str, Any]]
) -> None:
    datasets = pytest.importorskip("datasets", reason="`datasets` is not installed")
    own, theirs = first_step(
        datasets.Dataset.from_list(pairs),
        model,
        tmp_path / "theirs",
        packing=True,
        max_length=MAX_TOKENS,
    )

    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    config = TokenizeConfig(tokenizer=model, max_row_tokens=MAX_TOKENS)
    result = run(open_pool(pool), config, output=tmp_path / "out", num_threads=1)
    packed = datasets.load_from_disk(str(result.path))
    step, rows = first_step(
        packed, model, tmp_path / "ours", padding_free=True, max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip

    assert rows.to_list() == packed.to_list()  # nothing was made anew
    assert sorted(map(tuple, samples(rows))) == sorted(map(tuple, samples(theirs)))
    assert step == pytest.approx(own, rel=1e-4)


def samples(rows: Any) -> list[list[int]]:
    """Ids and labels of each sample in packed rows; a sample's first label does not count."""
    found = []
    for row in rows:
        at = 0
        for length in row["seq_lengths"]:
            labels = [-100, *row["labels"][at + 1 : at + length]]
            found.append(row["input_ids"][at : at + length] + labels)
            at += length
    return found
