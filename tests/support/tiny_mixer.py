"""A drawn Qwen2 of a few thousand weights with a tokenizer of its own, and a small MIXTURE folder.

Both are made of the example pools, offline, and are the same each time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmmixup import contract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SOURCE = pa.struct(
    [(name, pa.string()) for name in ("id", "prompt", "completion", "task_type")]
    + [("rating", pa.int8()), ("article", pa.string())]
)
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "source", "article", "task_type", "prompt",
                                      "completion")]
    + [
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("cot", pa.string()),
        ("rating", pa.int8()),
        ("rating_source", pa.string()),
        ("sources", pa.list_(_SOURCE)),
    ]
)  # fmt: skip


def make_mixture(folder: Path, records: Path, *, per_part: int = 24) -> Path:
    """Writes the parts of a MIXTURE folder: two thin records of each good one of `records`."""
    folder.mkdir(parents=True)
    rows = _samples(records)
    for part in ("cold_start", "rl", "validation", "test"):
        some = [row for row, _ in zip(rows, range(per_part), strict=False)]
        pq.write_table(pa.Table.from_pylist(some, SCHEMA), folder / f"{part}.parquet")
    return folder


def _samples(records: Path) -> Iterator[dict[str, Any]]:
    for text in records.read_text(encoding="utf-8").splitlines():
        record = json.loads(text)
        if len(record["output"]) > 60 and "\n" not in record["instruction"]:
            yield _sample(record)


def _sample(record: dict[str, Any]) -> dict[str, Any]:
    question, answer = record["instruction"], record["output"][:160]
    words = answer.split()
    thin = [" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 3 :])]
    sources = [
        {"id": f"{record['id']}-{at}", "prompt": question, "completion": text, "task_type": "qa",
         "rating": 1, "article": record["id"]}
        for at, text in enumerate(thin)
    ]  # fmt: skip
    pairs = [contract.Pair(prompt=s["prompt"], completion=s["completion"]) for s in sources]
    body = f"Q: {question}\nA: {answer}"
    asked = contract.messages({"task_type": "qa", "records": pairs})
    target = contract.render("Join both.", body)
    turns = [*asked, {"role": "assistant", "content": target}]
    return {"id": record["id"], "source": "examples", "article": record["id"], "task_type": "qa",
            "prompt": asked[-1]["content"], "completion": body, "messages": turns,
            "cot": "Join both.", "rating": 4, "rating_source": "made",
            "sources": sources}  # fmt: skip


def make_model(
    folder: Path, records: Path, *, tie: bool = True, vocabulary: int = 1024, width: int = 32
) -> Path:
    """Saves the drawn model and its tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = make_tokenizer(records, vocabulary)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=2048, tie_word_embeddings=tie, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(records: Path, vocabulary: int) -> Any:
    """A byte-level BPE learnt on the records, with turns as in ChatML.

    It cuts words as Qwen2 does: transformers cuts so for each Qwen2, whatever its file says.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    words = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated")
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, whole])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, show_progress=False,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    asked = contract.messages({"task_type": "qa", "records": [{"prompt": "", "completion": ""}]})
    texts = [turn["content"] for turn in asked] * 20
    bpe.train_from_iterator([*texts, *records.read_text(encoding="utf-8").splitlines()], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
    )
