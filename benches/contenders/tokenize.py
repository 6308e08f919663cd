"""Tokenising contenders: chats as JSONL in, packed rows of ids and labels as Arrow out.

Each gives tokens, trained tokens, rows, and a sum over all ids that no order changes. All use
Qwen2's vocabulary and ChatML, rows of 2,048 tokens, best-fit decreasing. What a peer has to be
given by hand (chats to text, the mask) is written for this template alone, without any check of
roles, special tokens in texts, ids or errors: the fastest that glue can be.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Run = Callable[..., np.ndarray]
    Flat = tuple[np.ndarray, np.ndarray]
    """Ids of all texts, and the N + 1 places where each text's begin."""

MAX_TOKENS = 2048
IGNORED = -100
START, END, ASSISTANT = 151644, 151645, 77091
"""Ids of `<|im_start|>`, `<|im_end|>` and `assistant`."""
SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
OPENING = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
BATCH = 2000
FIRST_RECORDS = 20_000
NEWER = Path(__file__).resolve().parents[1] / "data" / "tokenizers-1.0"
"""Where `pip install --target` put Hugging Face tokenizers 1.0, beside 0.23."""


def told(ids: Iterable[np.ndarray], labels: Iterable[np.ndarray], num_rows: int) -> np.ndarray:
    """What a contender made, as four numbers."""
    num_tokens = checksum = trained = 0
    for part in ids:
        num_tokens += len(part)
        checksum += int(np.sum(part.astype(np.uint64) * np.uint64(2654435761) % np.uint64(1 << 31)))
    for part in labels:
        trained += int(np.count_nonzero(part != IGNORED))
    return np.array([num_tokens, trained, num_rows, checksum])


def read_rows(folder: Path) -> np.ndarray:
    """`told` of the Arrow streams in a folder."""
    import pyarrow as pa
    from pyarrow import ipc

    batches = []
    for path in sorted(folder.rglob("*.arrow")):
        with pa.memory_map(str(path)) as file, ipc.open_stream(file) as stream:
            batches.extend(stream)
    values = {
        name: [batch.column(name).values.to_numpy(zero_copy_only=False) for batch in batches]
        for name in ("input_ids", "labels")
    }
    return told(values["input_ids"], values["labels"], sum(batch.num_rows for batch in batches))


def into(make: Callable[[Path, str, Path], None]) -> Run:
    """A contender that gets a folder to write to; what it wrote is counted after the clock."""

    def run(path: Path, tokenizer: str) -> Callable[[], np.ndarray]:
        folder = tempfile.mkdtemp(dir=path.parent)
        make(path, tokenizer, Path(folder))
        return functools.partial(_read_and_remove, Path(folder))

    return run  # type: ignore[return-value]


def _read_and_remove(folder: Path) -> np.ndarray:
    import shutil

    try:
        return read_rows(folder)
    finally:
        shutil.rmtree(folder)


def ours() -> Run:
    """The stage `tokenize`, with all of its checks, digests and counts."""
    from lmmixup.pool import open_pool
    from lmmixup.tokenize import TokenizeConfig, run

    def make(path: Path, tokenizer: str, folder: Path) -> None:
        config = TokenizeConfig(tokenizer=Path(tokenizer), max_row_tokens=MAX_TOKENS)
        run(open_pool(path), config, output=folder / "out", num_threads=2)

    return into(make)


@contextmanager
def first_records(path: Path) -> Iterator[Any]:
    """The first records as `datasets` reads them."""
    import datasets

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        first = Path(folder) / "first.jsonl"
        with path.open("rb") as file:
            first.write_bytes(b"".join(islice(file, FIRST_RECORDS)))
        cache = str(Path(folder) / "cache")
        yield datasets.load_dataset("json", data_files=str(first), split="train", cache_dir=cache)


def trl() -> Run:
    """TRL's own `SFTTrainer._prepare_dataset`, two processes, on the first records."""
    import datasets
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    datasets.disable_caching()
    datasets.disable_progress_bars()
    args = SFTConfig(
        output_dir="unused",
        dataset_num_proc=2,
        max_length=MAX_TOKENS,
        packing=True,
        assistant_only_loss=True,
        use_cpu=True,
        bf16=False,
        report_to="none",
    )

    def make(path: Path, tokenizer: str, folder: Path) -> None:
        processing = AutoTokenizer.from_pretrained(tokenizer)
        stand_in = SimpleNamespace(
            _tokenizer=processing, chat_template=None, completion_only_loss=False
        )
        prepare = SFTTrainer._prepare_dataset
        with first_records(path) as data:
            rows = prepare(stand_in, data, processing, args, True, None, "train")
            rows.save_to_disk(str(folder / "out"))

    return into(make)


def hf_datasets() -> Run:
    """Hugging Face tokenizers 1.0 in batches of `datasets.map`, TRL's packing, first records."""
    import datasets
    from trl import pack_dataset

    datasets.disable_caching()
    datasets.disable_progress_bars()
    use_newer_tokenizers()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"

    def make(path: Path, tokenizer: str, folder: Path) -> None:
        encode = functools.partial(encode_table, tokenizer=tokenizer)
        options: dict[str, Any] = {"batched": True, "batch_size": BATCH, "num_proc": 2}
        with first_records(path) as data:
            table = data.with_format("arrow")
            made = table.map(encode, remove_columns=data.column_names, **options)
            rows = pack_dataset(made.with_format(None), MAX_TOKENS, "bfd", {"num_proc": 2})
            rows.save_to_disk(str(folder / "out"))

    return into(make)


def use_newer_tokenizers() -> None:
    """Makes `tokenizers` version 1.0, for who imported transformers with the older one."""
    for name in [name for name in sys.modules if name.split(".")[0] == "tokenizers"]:
        del sys.modules[name]
    sys.path.insert(0, str(NEWER))


@functools.cache
def hf_tokenizer(path: str) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(f"{path}/tokenizer.json")


def hf_batch(tokenizer: Any) -> Callable[[list[str]], Any]:
    """Its fastest batch call: 0.23 has one without places in the text, 1.0 only that."""
    batch = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
    return functools.partial(batch, add_special_tokens=False)


def encode_table(table: Any, tokenizer: str) -> dict[str, Any]:
    """Ids and labels of a batch of `datasets`, as Arrow lists."""
    import pyarrow as pa

    texts = [chat_text(turns) for turns in table["messages"].to_pylist()]
    made = hf_batch(hf_tokenizer(tokenizer))(texts)
    ids, offsets = encodings_flat(made)
    labels = masked(ids)
    lists = [pa.ListArray.from_arrays(offsets.astype(np.int32), values) for values in (ids, labels)]
    return pa.table(lists, names=["input_ids", "labels"])


def encodings_flat(rows: Any) -> Flat:
    """Ids of encodings, one after another."""
    lists = [row.ids for row in rows]
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in lists])])
    return np.fromiter(chain.from_iterable(lists), np.int32, int(offsets[-1])), offsets


def chat_text(turns: list[dict[str, str]]) -> str:
    """What the template makes of turns without a system prompt."""
    said = [f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in turns]
    return OPENING + "".join(said)


def masked(ids: np.ndarray) -> np.ndarray:
    """Labels: what follows the assistant's name, up to the newline behind its end."""
    starts = np.flatnonzero(ids == START)
    answers = starts[ids[starts + 1] == ASSISTANT]
    ends = np.flatnonzero(ids == END)
    closing = ends[np.searchsorted(ends, answers)]
    change = np.zeros(len(ids) + 3, np.int8)
    np.add.at(change, answers + 3, 1)
    np.add.at(change, closing + 2, -1)
    is_trained = np.cumsum(change[: len(ids)], dtype=np.int8) > 0
    return np.where(is_trained, ids, IGNORED)


def glue(encoder: Callable[[str], Callable[[list[str]], Flat]]) -> Run:
    """Orjson, a fast tokenizer, NumPy masks, our packing, Arrow; two processes, half each."""
    import multiprocessing

    import orjson

    from lmmixup import _rust

    def half(path: Path, tokenizer: str, folder: Path, number: int) -> None:
        encode = encoder(tokenizer)
        ids, counts = [], []
        for texts in text_batches(path, number, orjson.loads):
            part, offsets = encode(texts)
            ids.append(np.asarray(part).view(np.int32))
            counts.append(np.diff(offsets).astype(np.uint32))
        flat, lengths = np.concatenate(ids), np.concatenate(counts)
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        records = Records(flat, masked(flat), starts, np.minimum(lengths, MAX_TOKENS))
        rows = _rust.pack_best_fit(records.kept, MAX_TOKENS, 0)
        write_rows(folder / f"data-{number}.arrow", records, rows)

    def make(path: Path, tokenizer: str, folder: Path) -> None:
        context = multiprocessing.get_context("fork")
        args = [(path, tokenizer, folder, number) for number in range(2)]
        workers = [context.Process(target=half, args=each) for each in args]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode for worker in workers):
            raise RuntimeError("a worker failed")

    return into(make)


def text_batches(path: Path, number: int, loads: Callable[[bytes], Any]) -> Iterator[list[str]]:
    """Chats of one half of a file as texts, some thousands at a time."""
    size = path.stat().st_size
    first, last = number * size // 2, (number + 1) * size // 2
    with path.open("rb") as file:
        if first:
            file.seek(first - 1)
            file.readline()
        while file.tell() < last:
            lines = file.readlines(min(4 << 20, last - file.tell()))
            yield [chat_text(loads(line)["messages"]) for line in lines]


class Records(NamedTuple):
    """Tokens of all records, where each record's begin, and how many of them are kept."""

    ids: np.ndarray
    labels: np.ndarray
    starts: np.ndarray
    kept: np.ndarray


def write_rows(path: Path, records: Records, rows: tuple[np.ndarray, np.ndarray]) -> None:
    """Rows as an Arrow stream, a thousand at a time."""
    import pyarrow as pa
    from pyarrow import ipc

    flat, labels, starts, kept = records
    order, ends = rows
    names = ["input_ids", "labels", "seq_lengths"]
    schema = pa.schema([(name, pa.list_(pa.int32())) for name in names])
    with pa.OSFile(str(path), "wb") as file, ipc.new_stream(file, schema) as writer:
        for row in range(0, len(ends) - 1, 1000):
            edges = ends[row : row + 1001].astype(np.int64)
            chosen = order[edges[0] : edges[-1]]
            counts = kept[chosen].astype(np.int64)
            shift = np.repeat(starts[chosen] - (np.cumsum(counts) - counts), counts)
            places = shift + np.arange(counts.sum())
            within = (edges - edges[0]).astype(np.int32)
            tokens = np.concatenate([[0], np.cumsum(counts)])[within].astype(np.int32)
            columns = [
                pa.ListArray.from_arrays(tokens, flat[places]),
                pa.ListArray.from_arrays(tokens, labels[places]),
                pa.ListArray.from_arrays(within, counts.astype(np.int32)),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def snaptokens_flat(made: tuple[bytes, bytes]) -> Flat:
    """Ids and offsets as bytes."""
    ids, offsets = made
    return np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.uint64).astype(np.int64)


def gigatoken_flat(rows: Any) -> Flat:
    """An awkward array."""
    import awkward

    flat = np.asarray(awkward.flatten(rows)).astype(np.uint32, copy=False)
    return flat, np.concatenate([[0], np.cumsum(np.asarray(awkward.num(rows)))])


def snaptokens_encoder(path: str) -> Callable[[list[str]], Flat]:
    import snaptokens

    tokenizer = snaptokens.Tokenizer.from_file(f"{path}/tokenizer.json")
    return lambda texts: snaptokens_flat(tokenizer.encode_batch_flat(texts))


def gigatoken_encoder(path: str) -> Callable[[list[str]], Flat]:
    import gigatoken

    tokenizer = gigatoken.Tokenizer(f"{path}/tokenizer.json")
    return lambda texts: gigatoken_flat(tokenizer.encode_batch(texts, parallel=False))


def fastokens_encoder(path: str) -> Callable[[list[str]], Flat]:
    import fastokens

    tokenizer = fastokens.Tokenizer.from_file(f"{path}/tokenizer.json")
    return lambda texts: encodings_flat(tokenizer.encode_batch(texts))


def glue_snaptokens() -> Run:
    """Glue over snaptokens."""
    return glue(snaptokens_encoder)


def glue_gigatoken() -> Run:
    """Glue over gigatoken."""
    return glue(gigatoken_encoder)


def glue_fastokens() -> Run:
    """Glue over fastokens."""
    return glue(fastokens_encoder)
