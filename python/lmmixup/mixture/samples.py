"""From what a teacher wrote to a sample as it stands in the files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup.contract import join_answer, messages, render
from lmmixup.llm.request import BYTES_PER_TOKEN
from lmmixup.mixture.noise import add_noise
from lmmixup.mixture.teacher import random_for
from lmmixup.mixture.think import think
from lmmixup.mixture.worsen import NOISE, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmmixup.contract import MixRecord
    from lmmixup.mixture.config import MixtureConfig
    from lmmixup.mixture.draft import Draft, Variant
    from lmmixup.mixture.passage import Passage
    from lmmixup.mixture.teacher import Fused, Written

_TURN = pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())])
_SOURCE = pa.struct(
    [
        pa.field("id", pa.string()),
        pa.field("prompt", pa.string()),
        pa.field("completion", pa.string()),
        pa.field("task_type", pa.string()),
        pa.field("rating", pa.int8()),
        pa.field("article", pa.string()),
        pa.field("kinds", pa.list_(pa.string())),
    ]
)
SAMPLES_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("article", pa.string(), nullable=False),
        pa.field("task_type", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("completion", pa.string(), nullable=False),
        pa.field("messages", pa.list_(_TURN), nullable=False),
        pa.field("cot", pa.string()),
        pa.field("rating", pa.int8(), nullable=False),
        pa.field("rating_source", pa.string(), nullable=False),
        pa.field("sources", pa.list_(_SOURCE), nullable=False),
        pa.field("texts", pa.list_(pa.string()), nullable=False),
    ]
)
"""Columns of a sample file: the turns of the contract with the target as the last, the target's
body and reasoning apart, the records of low quality, and the ids of the texts behind them."""

EDITS_SCHEMA = pa.schema(
    [
        pa.field("sample", pa.string(), nullable=False),
        pa.field("record", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("edit", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("before", pa.string(), nullable=False),
        pa.field("after", pa.string(), nullable=False),
    ]
)
"""Columns of `edits.parquet`: each typing error, in the order in which they were made in a field;
`mixture.undo` takes them back."""

FRAME_BYTES = 110
"""What the contract puts around a record at most."""

NOISE_ROOM = 0.97
"""Share of the prompt's length that variants may fill before noise, which may lengthen them."""


@dataclass(frozen=True)
class Sample:
    """One sample.

    Attributes:
        row: Its columns.
        edits: Rows of `edits.parquet`.
        num_left_out: Variants that did not fit the prompt.
    """

    row: dict[str, Any]
    edits: list[dict[str, Any]]
    num_left_out: int


@dataclass(frozen=True)
class _Low:
    """A variant and where it is from."""

    variant: Variant
    passage: Passage
    article: str
    bears: bool


def make_sample(
    group: Sequence[tuple[Written, str]], fused: Fused | None, config: MixtureConfig
) -> Sample | None:
    """One sample of one record, or of two that were fused.

    Args:
        group: What was written, each with its article; one or two.
        fused: The target of both; `None` where there is one.
        config: Noise, length, reasoning.

    Returns:
        The sample, or `None` where not even two variants of each fit the prompt.

    Source:
        METHOD §2 and §3.
    """
    first = group[0][0]
    kind = first.ask.task_type
    target = fused or first
    sample_id = _hash(kind, *(one.ask.passage.id for one, _ in group))
    random = random_for(config, "order", sample_id)
    lows, num_left_out = _fitting(_lows(group, config), kind, config)
    if not lows:
        return None
    random.shuffle(lows)
    edits: list[dict[str, Any]] = []
    variants = [
        _noisy(low.variant, sample_id, number, config, edits) for number, low in enumerate(lows)
    ]
    record: MixRecord = {
        "task_type": kind,
        "records": [{"prompt": one.prompt, "completion": one.completion} for one in variants],
    }
    system, user = messages(record)
    body = _body(target.draft)
    cot = target.think
    if config.cot and config.model is None:
        cot = think(kind, [one.draft.topic for one, _ in group], variants)
    answer = render(cot or "", body)
    sources = [
        _source_row(f"{sample_id}-{number}", kind, variant, low.article)
        for number, (variant, low) in enumerate(zip(variants, lows, strict=True))
    ]
    passages = [one.ask.passage for one, _ in group]
    row = {
        "id": sample_id,
        "source": "+".join(dict.fromkeys(one.source for one in passages)),
        "article": group[0][1],
        "task_type": kind,
        "prompt": user["content"],
        "completion": body,
        "messages": [system, user, {"role": "assistant", "content": answer}],
        "cot": cot,
        "rating": target.rating,
        "rating_source": target.rating_source,
        "sources": sources,
        "texts": list(dict.fromkeys(one.text_id for one in passages)),
    }
    return Sample(row, edits, num_left_out)


def _body(draft: Draft) -> str:
    prompt = "" if draft.task_type == "para" else draft.question
    return join_answer(prompt, draft.answer, draft.task_type)


def _lows(group: Sequence[tuple[Written, str]], config: MixtureConfig) -> list[_Low]:
    """Variants of all, those first that hold what the target says, then in turn."""
    columns = [
        [_Low(v, one.ask.passage, article, bears=at < 2) for at, v in enumerate(one.variants)]
        for one, article in group
    ]
    longest = max(len(column) for column in columns)
    turns = [column[at] for at in range(longest) for column in columns if at < len(column)]
    return turns[: config.max_variants]


def _fitting(lows: list[_Low], kind: str, config: MixtureConfig) -> tuple[list[_Low], int]:
    room = config.max_prompt_tokens * BYTES_PER_TOKEN * NOISE_ROOM - _contract_bytes(kind)
    out = []
    for low in lows:
        size = FRAME_BYTES + len((low.variant.prompt + low.variant.completion).encode())
        if size > room:
            if low.bears:
                return [], len(lows)
            continue
        room -= size
        out.append(low)
    return out, len(lows) - len(out)


def _contract_bytes(kind: str) -> int:
    turns = messages({"task_type": kind, "records": []})
    return sum(len(turn["content"].encode()) for turn in turns)


def _noisy(
    variant: Variant,
    sample_id: str,
    number: int,
    config: MixtureConfig,
    edits: list[dict[str, Any]],
) -> Variant:
    """The variant with typing errors, where one is drawn for it; its edits are appended."""
    random = random_for(config, "noise", sample_id, str(number))
    if random.random() >= config.noise:
        return variant
    noisy: dict[str, Any] = {}
    before = len(edits)
    for name in ("prompt", "completion"):
        noisy[name], made = add_noise(getattr(variant, name), random)
        edits += [
            {"sample": sample_id, "record": f"{sample_id}-{number}", "field": name, "edit": place}
            | vars(edit)
            for place, edit in enumerate(made)
        ]
    if len(edits) == before:
        return variant
    rating = max(0, variant.rating - WEIGHTS[NOISE])
    return replace(variant, **noisy, kinds=(*variant.kinds, NOISE), rating=rating)


def _source_row(record_id: str, kind: str, variant: Variant, article: str) -> dict[str, Any]:
    return {
        "id": record_id,
        "prompt": variant.prompt,
        "completion": variant.completion,
        "task_type": kind,
        "rating": variant.rating,
        "article": article,
        "kinds": list(variant.kinds),
    }


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()
