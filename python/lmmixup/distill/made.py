"""Made records as columns of `data.parquet`, each compared with its sources."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from lmmixup import ops
from lmmixup.distill.faithfulness import said
from lmmixup.llm import Answer, Prices
from lmmixup.ops.faithfulness import KINDS
from lmmixup.pool.layout import CANONICAL, TURN, Original, with_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lmmixup.distill.faithfulness import Tally
    from lmmixup.distill.mixer import Attempt, Made
    from lmmixup.distill.part import Part

SOURCE = "distill"
"""What stands in the column `source` of a made record."""

UNFOUNDED = pa.struct(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)
"""Something that no source says: `number`, `name` or `negation`, and its words."""

ADDED = pa.schema(
    [
        pa.field("sources", pa.list_(pa.string()), nullable=False),
        pa.field("source_names", pa.list_(pa.string()), nullable=False),
        pa.field("licenses", pa.list_(pa.string()), nullable=False),
        pa.field("coverage", pa.list_(pa.float32()), nullable=False),
        pa.field("unfounded", pa.list_(UNFOUNDED), nullable=False),
        pa.field("cluster", pa.int64(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("mixer", pa.string(), nullable=False),
        pa.field("think", pa.string()),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("completion_tokens", pa.int64()),
        pa.field("cost", pa.float64()),
    ]
)
"""Columns of a made record beside the canonical ones: ids of the records that went in, the sets of
their `source` and licenses, how much of each it has and what it says that none of them does,
cluster and part, who made it, the mixer's reasoning, and what all answers behind it took: tokens,
and their price where it is known."""


def _schema() -> pa.Schema:
    fields = [*CANONICAL, *ADDED]
    originals = tuple(Original(f.name, f.name) for f in fields if f.name != "messages")
    return with_metadata(pa.schema(fields), "prompt_completion", originals).schema


MADE_SCHEMA = _schema()
"""Columns of `data.parquet`."""


class MadeRecord(NamedTuple):
    """A record that a mixer made.

    Attributes:
        part: What it was made of.
        made: The record.
        attempts: The answers behind it.
    """

    part: Part
    made: Made
    attempts: Sequence[Attempt]


def made_columns(
    records: Sequence[MadeRecord], mixer: str, prices: Prices, tally: Tally, num_threads: int
) -> pa.RecordBatch:
    """Columns of made records, with what the check says of each.

    Args:
        records: N records.
        mixer: Name of the mixer.
        prices: Prices of tokens.
        tally: Counts what is found.
        num_threads: Threads that check; 0 takes all.

    Returns:
        N rows of `MADE_SCHEMA`.

    Notes:
        Linear in the texts. The bytes do not depend on the number of threads.
    """
    places = [_places(one) for one in records]
    used = [
        [one.part.sources[place] for place in ours]
        for one, ours in zip(records, places, strict=True)
    ]
    made = [one.made for one in records]
    columns = {
        "id": [made_id(one.part, ours, mixer) for one, ours in zip(records, places, strict=True)],
        "source": [SOURCE] * len(records),
        "prompt": [one.prompt for one in made],
        "completion": [one.completion for one in made],
        "messages": _messages(made),
        "task_type": [one.task_type for one in made],
        "sources": [[source.id for source in sources] for sources in used],
        "source_names": [_set(source.source for source in sources) for sources in used],
        "licenses": [_set(source.license for source in sources) for sources in used],
        "cluster": [one.part.cluster for one in records],
        "part": [one.part.part for one in records],
        "mixer": [mixer] * len(records),
        "think": [one.think for one in made],
        **_faithfulness(records, places, tally, num_threads),
        **_spent(records, prices),
    }
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for field, column in ((field, columns[field.name]) for field in MADE_SCHEMA)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=MADE_SCHEMA)


def made_id(part: Part, places: Sequence[int], mixer: str) -> str:
    """Id of a made record: a hash of the records that went in and of who made it.

    Args:
        part: The part.
        places: Which of its sources went in.
        mixer: Name of the mixer.
    """
    texts = [mixer]
    for place in places:
        source = part.sources[place]
        texts += (source.id, source.prompt, source.completion)
    # Their lengths tell where each ends; one piece is encoded many times as fast as each.
    whole = f"{[*map(len, texts)]}{''.join(texts)}"
    return f"{SOURCE}-{hashlib.blake2b(whole.encode(), digest_size=12).hexdigest()}"


def _places(record: MadeRecord) -> Sequence[int]:
    """Places of the sources that went in."""
    everywhere = range(len(record.part.sources))
    left = record.made.left
    return [place for place in everywhere if place not in left] if left else everywhere


def _set(names: Iterable[str | None]) -> list[str]:
    return sorted({name for name in names if name})


def _messages(made: Sequence[Made]) -> pa.ListArray:
    turns = pa.StructArray.from_arrays(
        [
            pa.array(["user", "assistant"] * len(made), pa.string()),
            pa.array([text for one in made for text in (one.prompt, one.completion)], pa.string()),
        ],
        fields=list(TURN),
    )
    return pa.ListArray.from_arrays(pa.array(range(0, 2 * len(made) + 1, 2), pa.int32()), turns)


def _faithfulness(
    records: Sequence[MadeRecord],
    places: Sequence[Sequence[int]],
    tally: Tally,
    num_threads: int,
) -> dict[str, pa.Array]:
    """The columns `coverage`, of the sources that went in, and `unfounded`."""
    indptr = np.cumsum([0, *(len(one.part.sources) for one in records)])
    seen = ops.check_faithfulness(
        pa.array([said(one.made) for one in records], pa.string()),
        pa.array([source.text for one in records for source in one.part.sources], pa.string()),
        indptr,
        num_threads=num_threads,
    )
    starts = indptr[:-1].tolist()
    went_in = [start + place for start, ours in zip(starts, places, strict=True) for place in ours]
    coverage = seen.coverage[np.array(went_in, np.int64)]
    tally.add(coverage, seen)
    ends = np.cumsum([0, *map(len, places)])
    found = pa.StructArray.from_arrays(
        [
            pa.array([KINDS[kind] for kind in seen.kinds], pa.string()),
            pa.array(seen.texts, pa.string()),
        ],
        fields=list(UNFOUNDED),
    )
    return {
        "coverage": pa.ListArray.from_arrays(
            pa.array(ends, pa.int32()), pa.array(coverage, pa.float32())
        ),
        "unfounded": pa.ListArray.from_arrays(pa.array(seen.indptr, pa.int32()), found),
    }


def _spent(records: Sequence[MadeRecord], prices: Prices) -> dict[str, list[Any]]:
    """Tokens and price of all answers behind each record; null where no model was asked."""
    rows: list[tuple[int | None, int | None, float | None]] = []
    for record in records:
        answers = [one.outcome for one in record.attempts if isinstance(one.outcome, Answer)]
        tokens_in = sum(answer.prompt_tokens for answer in answers)
        tokens_out = sum(answer.completion_tokens for answer in answers)
        spent = (tokens_in, tokens_out, prices.cost(tokens_in, tokens_out))
        rows.append(spent if record.attempts else (None, None, None))
    names = ("prompt_tokens", "completion_tokens", "cost")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}
