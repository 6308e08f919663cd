"""Small tokenizers of every kind, trained by Hugging Face `tokenizers`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

if TYPE_CHECKING:
    from pathlib import Path

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def byte_level(pattern: str = QWEN) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def sentencepiece_like() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def trainer(kind: str) -> trainers.Trainer:
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if kind.startswith("bytes"):
        return trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, show_progress=False)
    if kind == "sentencepiece":
        fallback = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
        return trainers.BpeTrainer(
            vocab_size=2000, special_tokens=fallback, max_token_length=16, show_progress=False
        )
    if kind == "unigram":
        return trainers.UnigramTrainer(
            vocab_size=1500, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
        )
    return trainers.WordPieceTrainer(vocab_size=1500, special_tokens=["[UNK]"], show_progress=False)


KINDS = {
    "bytes": byte_level,
    "bytes-digits": lambda: byte_level(QWEN.replace(r"|\p{N}|", r"|\p{N}+|")),
    "sentencepiece": sentencepiece_like,
    "unigram": unigram,
    "wordpiece": wordpiece,
}


def write_tokenizers(folder: Path, example_pool: Path) -> None:
    """Writes a folder with tokenizer and template for each of `KINDS`."""
    rows = [json.loads(line) for line in example_pool.read_text(encoding="utf-8").splitlines()]
    texts = [text for row in rows for text in row.values() if isinstance(text, str)]
    for kind, make in KINDS.items():
        tokenizer = make()
        tokenizer.train_from_iterator(texts, trainer(kind))
        if kind == "sentencepiece":
            # bytes are ordinary tokens of the model, not special ones
            value = json.loads(tokenizer.to_str())
            value["added_tokens"] = value["added_tokens"][:1]
            tokenizer = Tokenizer.from_str(json.dumps(value))
        tokenizer.add_special_tokens(
            [AddedToken(text, special=True, normalized=False) for text in SPECIALS]
        )
        (folder / kind).mkdir()
        tokenizer.save(str(folder / kind / "tokenizer.json"))
        (folder / kind / "chat_template.jinja").write_text(CHATML)
        (folder / kind / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}')
