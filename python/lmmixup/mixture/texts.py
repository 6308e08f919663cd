"""From plain texts to passages with an article each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lmmixup import ops
from lmmixup.mixture.passage import Passage
from lmmixup.mixture.prose import mend, sentences
from lmmixup.pool import Pool, PoolOptions, open_pool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmmixup.mixture.config import MixtureConfig
    from lmmixup.pool.reading import PoolSource
    from lmmixup.progress import Reporter

TOO_SHORT, DUPLICATE, BEYOND_LIMIT = "too-short", "duplicate", "beyond-limit"

SHINGLE_SIZE = 3
"""Words of a shingle by which two passages are compared."""

_EMPTY_LINES = re.compile(r"\n\s*\n")


def open_texts(
    sources: PoolSource | Sequence[PoolSource], options: PoolOptions | None = None
) -> Pool:
    """Opens files of plain texts, one a record in a column `text`.

    Args:
        sources: As for `open_pool`.
        options: How to read them; `columns` names another column, as
            `prompt=body,completion=body`.

    Returns:
        A pool whose completions are the texts; other columns stay beside them.

    Raises:
        FileError: A source is not there or cannot be read.
        DataError: A source has no such column.

    Example:
        >>> import pyarrow as pa
        >>> pool = open_texts(pa.table({"text": ["Utah is dry."], "title": ["Utah"]}))
        >>> pool.read()["completion"][0].as_py()
        'Utah is dry.'
    """
    options = options or PoolOptions()
    if not options.columns:
        columns = {"prompt": "text", "completion": "text"}
        options = options.model_copy(update={"columns": columns})
    return open_pool(sources, options)


@dataclass
class Texts:
    """The passages of all texts, and what became of each text so far.

    Attributes:
        ids: Ids of the texts.
        passages: The passages, in their order.
        articles: The article of each passage.
        outcomes: Why a text gave no passage, by its place; the others are open.
        num_short: Passages that were too short.
        against: Id of the text that a duplicate repeats, by its place.
    """

    ids: list[str] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    articles: list[str] = field(default_factory=list)
    outcomes: dict[int, str] = field(default_factory=dict)
    num_short: int = 0
    against: dict[int, str] = field(default_factory=dict)


def read_texts(
    pool: Pool, config: MixtureConfig, *, num_threads: int = 0, reporter: Reporter
) -> Texts:
    """Reads, mends and segments all texts, and finds their articles.

    Args:
        pool: As `open_texts` gives it.
        config: Lengths, the title's column, the limit.
        num_threads: 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        The passages; a passage that comes twice is taken once.

    Source:
        Ours; METHOD §2.
    """
    texts = Texts()
    seen: dict[str, str] = {}
    columns = ["id", "source", "completion"]
    has_title = config.title_column in pool.schema.names
    columns += [config.title_column] if has_title else []
    for batch in pool.batches(columns, num_threads=num_threads, reporter=reporter):
        rows = batch.to_pylist()
        for row in rows:
            title = row.get(config.title_column) if has_title else None
            _add(texts, seen, row, mend(str(title or "")), config)
    texts.articles = _articles(texts.passages, config, num_threads)
    return texts


def _add(
    texts: Texts, seen: dict[str, str], row: dict[str, str], title: str, config: MixtureConfig
) -> None:
    place = len(texts.ids)
    texts.ids.append(row["id"])
    reason = TOO_SHORT
    parts = list(segments(row["completion"] or "", config.max_characters))
    taken = 0
    for number, text in enumerate(parts):
        if len(text) < config.min_characters:
            texts.num_short += 1
            continue
        if text in seen:
            reason = DUPLICATE
            texts.against.setdefault(place, seen[text])
            continue
        if config.limit is not None and len(texts.passages) == config.limit:
            reason = BEYOND_LIMIT
            break
        seen[text] = row["id"]
        passage_id = row["id"] if len(parts) == 1 else f"{row['id']}#{number}"
        at = len(texts.passages)
        texts.passages.append(Passage(at, passage_id, row["id"], row["source"] or "", title, text))
        taken += 1
    if not taken:
        texts.outcomes[place] = reason


def segments(text: str, max_characters: int) -> Iterator[str]:
    r"""The passages of a text: its paragraphs, and of a long one as many sentences as fit.

    A sentence that is longer by itself stays whole.

    Args:
        text: The text.
        max_characters: Of a passage.

    Yields:
        Passages, mended, on one line each.

    Example:
        >>> list(segments("One two. Three four.\n\nFive.", 12))
        ['One two.', 'Three four.', 'Five.']
    """
    for paragraph in _EMPTY_LINES.split(text):
        mended = mend(paragraph)
        if len(mended) <= max_characters:
            if mended:
                yield mended
            continue
        held = ""
        for sentence in sentences(mended):
            if held and len(held) + 1 + len(sentence) > max_characters:
                yield held
                held = ""
            held = f"{held} {sentence}".strip()
        if held:
            yield held


def _articles(passages: list[Passage], config: MixtureConfig, num_threads: int) -> list[str]:
    """The article of each passage: those of one text, one title or one family are together."""
    if not passages:
        return []
    earlier = np.full(len(passages), -1, np.int64)
    numbers: dict[str, int] = {}
    for passage in passages:
        # A text without a title is kept together by its id.
        key = f"t{passage.title.casefold()}" if passage.title else f"i{passage.text_id}"
        earlier[passage.row] = numbers.setdefault(key, len(numbers))
    batch = pa.record_batch(
        {"prompt": [""] * len(passages), "completion": [one.text for one in passages]}
    )
    families = ops.near_families(
        [batch],
        threshold=config.family_threshold,
        shingle_size=SHINGLE_SIZE,
        earlier=earlier,
        num_threads=num_threads,
    )
    names: dict[int, str] = {}
    for passage, family in zip(passages, families.family.tolist(), strict=True):
        if passage.title or family not in names:
            known = names.get(family, "")
            if not known or known.startswith("#"):
                names[family] = passage.title or f"#{passage.text_id}"
    return [names[family] for family in families.family.tolist()]
