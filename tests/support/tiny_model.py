"""A drawn Llama of two layers over a few words, in a folder as transformers reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = "one two three four five six seven eight nine ten"
WORDS = ["<s>", "<unk>", *NUMBERS.split(" ")]


def write(folder: Path, words: list[str] = WORDS, seed: int = 0) -> Path:
    """Writes model and tokenizer.

    Args:
        folder: Where they go.
        words: The vocabulary, `<s>` and `<unk>` first.
        seed: Of the weights.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder
