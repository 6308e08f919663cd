"""Greedy outputs on held-out clusters and what they earn: `measure.py MODEL MIXTURE OUT`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import torch
from transformers import AutoModelForCausalLM, GgufConfig

from lmmixup.contract import fits_task, parse, prompt_ids
from lmmixup.rewards import WEIGHTS, RewardConfig, Rewards
from lmmixup.train import SftConfig, open_mixture
from lmmixup.train.model import is_gguf, load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmmixup.train.mixture import Sample

BATCH = 16


def main() -> None:
    """Writes one row a cluster: id, article, task type, output, tokens and rewards."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("mixture", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clusters", type=int, default=150)
    parser.add_argument("--max-prompt-tokens", type=int, default=512)
    parser.add_argument("--max-output-tokens", type=int, default=128)
    given = parser.parse_args()

    tokenizer = load_tokenizer(SftConfig(model=given.model))
    tokenizer.padding_side = "left"
    samples = [
        (sample, ids)
        for sample in open_mixture(given.mixture / "test.parquet", "sft").samples()
        if len(ids := prompt_ids(sample.record, tokenizer)) <= given.max_prompt_tokens
    ][: given.clusters]
    # Like lengths together: less padding. The order of the rows is that of the file.
    order = sorted(range(len(samples)), key=lambda at: len(samples[at][1]))
    outputs = [("", 0)] * len(samples)
    model = load(given.model)
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        made = write(model, tokenizer, [samples[at][1] for at in some], given.max_output_tokens)
        for at, output in zip(some, made, strict=True):
            outputs[at] = output
    rows = score([sample for sample, _ in samples], outputs, given.mixture)
    given.out.write_text(json.dumps(rows, indent=1) + "\n")
    follows = sum(row["follows"] for row in rows) / len(rows)
    content = sum(row["content"] for row in rows) / len(rows)
    print(f"{given.out}: {len(rows)} clusters, form {follows:.1%}, content {content:.3f}")


def score(
    samples: Sequence[Sample], outputs: Sequence[tuple[str, int]], mixture: Path
) -> list[dict[str, Any]]:
    """What each output earns, by the rewards of the training."""
    table = pq.read_table(mixture / "test.parquet", columns=["id", "article"])
    articles = dict(zip(*(table[name].to_pylist() for name in ("id", "article")), strict=True))
    texts = [text for text, _ in outputs]
    kinds = [sample.record["task_type"] for sample in samples]
    rewards = Rewards(RewardConfig(library=mixture / "library"))
    parts = rewards.components(
        texts, task_type=kinds, reference=[sample.target for sample in samples]
    )
    combined = rewards.weigh(parts, kinds)
    rows = []
    for at, sample in enumerate(samples):
        kind, parsed = kinds[at], parse(texts[at])
        weights = WEIGHTS[kind]
        # Quality and alignment without format, by their own weights.
        content = sum(weights[name] * (parts[name][at] or 0) for name in ("quality", "alignment"))
        rows.append(
            {
                "id": sample.id,
                "article": articles[sample.id],
                "task_type": kind,
                "output": texts[at],
                "tokens": outputs[at][1],
                "follows": parsed is not None and fits_task(parsed.answer, kind),
                "quality": parts["quality"][at],
                "alignment": parts["alignment"][at],
                "content": content / (weights["quality"] + weights["alignment"]),
                "reward": combined[at],
            }
        )
    return rows


def load(name: str) -> torch.nn.Module:
    """The model in bf16."""
    if not is_gguf(name):
        return AutoModelForCausalLM.from_pretrained(name, dtype=torch.bfloat16).eval()
    path = Path(name)
    return AutoModelForCausalLM.from_pretrained(
        path.parent,
        gguf_file=path.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    ).eval()


@torch.inference_mode()
def write(
    model: torch.nn.Module, tokenizer: object, prompts: list[list[int]], most: int
) -> list[tuple[str, int]]:
    """Text and number of tokens of a greedy output to each prompt."""
    width = max(map(len, prompts))
    pad, end = tokenizer.pad_token_id, tokenizer.eos_token_id
    ids = torch.tensor([[pad] * (width - len(one)) + one for one in prompts])
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in prompts])
    made = model.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=most, do_sample=False,
        pad_token_id=pad, eos_token_id=end,
    )[:, width:].tolist()  # fmt: skip
    cut = [row[: row.index(end)] if end in row else row for row in made]
    return [(tokenizer.decode(row, skip_special_tokens=True), len(row)) for row in cut]


if __name__ == "__main__":
    main()
