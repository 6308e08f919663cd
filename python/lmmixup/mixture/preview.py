"""What building would ask and cost, without asking and writing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lmmixup.llm import Prices
from lmmixup.mixture.build import num_variants
from lmmixup.mixture.requests import write_request
from lmmixup.mixture.split import PARTS, split_articles
from lmmixup.mixture.teacher import Ask
from lmmixup.mixture.texts import read_texts
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from lmmixup.mixture.config import MixtureConfig
    from lmmixup.pool import Pool

STEPS = 3
"""Requests for one record: to write, to rate, to degrade."""


def preview(
    pool: Pool, config: MixtureConfig, *, num_threads: int = 0, reporter: Reporter = SILENT
) -> list[tuple[str, str]]:
    """What `run` would do with the same texts and config.

    Args:
        pool: The texts; read once.
        config: As for `run`.
        num_threads: 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        Label and value of each line: passages, articles and passages of each part; with a model
        also requests, prompt tokens of the first step, and the price at most where every attempt
        is needed. Fused samples are asked for beside those. The cache is not looked at.

    Source:
        Ours.
    """
    texts = read_texts(pool, config, num_threads=num_threads, reporter=reporter)
    part_of = split_articles(texts.articles, config)
    sizes = Counter(part_of[article] for article in texts.articles)
    lines = [
        ("texts", f"{len(texts.ids):,}"),
        ("passages", f"{len(texts.passages):,}"),
        ("articles", f"{len(part_of):,}"),
        *((f"passages: {part}", f"{sizes[part]:,}") for part in PARTS),
    ]
    if config.model is None:
        return lines
    records = tokens = most = 0
    for passage in texts.passages:
        for kind in config.task_types:
            ask = Ask(passage, kind, num_variants(config, kind, passage))
            request = write_request(ask, config, 0)
            records += 1
            tokens += request.estimated_tokens()
            # A judge and a degrader are given what was written, which may fill max_output_tokens.
            most += request.most_tokens() + (STEPS - 1) * (config.max_output_tokens + OTHER_TOKENS)
    attempts = config.retries + 1
    out = records * STEPS * config.max_output_tokens * attempts
    cost = Prices(config.price_in, config.price_out).cost(most * attempts, out)
    return [
        *lines,
        ("records to write", f"{records:,}"),
        ("requests, without those asked again", f"{records * STEPS:,}"),
        ("prompt tokens of writing (estimate)", f"{tokens:,}"),
        (
            "price at most",
            "unknown: give price_in and price_out" if cost is None else f"{cost:,.4f}",
        ),
    ]


OTHER_TOKENS = 1500
"""Prompt tokens of a judge's and a degrader's instructions, from above."""
