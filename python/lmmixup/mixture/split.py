"""Which article is for what: cold start, GRPO, its validation, or the test."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmmixup.mixture.config import MixtureConfig

PARTS = ("cold_start", "rl", "validation", "test")
"""Names of the sample files; the first two are for training."""

TRAINING = PARTS[:2]


def split_articles(articles: Sequence[str], config: MixtureConfig) -> dict[str, str]:
    """Puts whole articles into the parts.

    Articles come in the order of a seeded hash; each goes to the part that its middle passage
    falls into, so that a part has its share of the passages within one article.

    Args:
        articles: The article of each passage.
        config: Shares and seed.

    Returns:
        The part of each article.

    Source:
        Ours; shares of METHOD §2.
    """
    sizes = Counter(articles)
    order = sorted(sizes, key=lambda article: _draw(article, config.seed))
    training = 1 - config.test
    rl = training * (1 - config.cold_start)
    shares = (training * config.cold_start, rl * (1 - config.validation), rl * config.validation)
    borders = [sum(shares[: number + 1]) * len(articles) for number in range(len(shares))]
    out: dict[str, str] = {}
    before = 0
    for article in order:
        middle = before + sizes[article] / 2
        out[article] = PARTS[sum(middle > border for border in borders)]
        before += sizes[article]
    return out


def _draw(article: str, seed: int) -> bytes:
    key = seed.to_bytes(8, "little")
    return hashlib.blake2b(article.encode("utf-8", "replace"), digest_size=16, key=key).digest()
