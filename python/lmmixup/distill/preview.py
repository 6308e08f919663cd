"""What distilling would ask or make, without asking and writing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmmixup.distill.chat import chat_request
from lmmixup.distill.config import EXTRACTIVE
from lmmixup.distill.cutting import cutting_of, turns_of
from lmmixup.distill.extractive import extract
from lmmixup.distill.fates import Fates
from lmmixup.distill.parts import Parts
from lmmixup.llm import Prices
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from lmmixup.distill.config import DistillConfig
    from lmmixup.distill.part import Part
    from lmmixup.pool import Pool

NUM_SHOWN = 20
"""Records that are shown where no limit says how many."""


def preview(
    pool: Pool, config: DistillConfig, *, num_threads: int = 0, reporter: Reporter = SILENT
) -> list[tuple[str, str]]:
    """What `run` would do with the same pool and config; asks nothing and writes nothing.

    Args:
        pool: The clustered records; read once.
        config: As for `run`.
        num_threads: Threads that read the pool; 0 takes all.
        reporter: Where progress goes.

    Returns:
        Label and value of each line: the turns that a model would get, a repeated one once, or
        the record that `extractive` would make, of as many records as `limit` has clusters, or
        of the first 20; then the numbers of the whole run, its tokens (an estimate) and its price
        at most, where every attempt is needed. The cache is not looked at.

    Source:
        Ours.
    """
    cutting = cutting_of(config)
    parts = Parts(pool, config, fates := Fates(), cutting=cutting, num_threads=num_threads)
    lines: list[tuple[str, str]] = []
    said: set[str] = set()
    num_shown = config.limit or NUM_SHOWN
    num_parts = tokens = most = 0
    for part in parts:
        if num_parts < num_shown:
            new = [line for line in _shown(part, config) if line[1] not in said]
            said.update(value for _, value in new)
            lines += new
        num_parts += 1
        if config.model is not None:
            request = chat_request(turns_of(part, config), config, 0)
            tokens += request.estimated_tokens()
            most += request.most_tokens()
        reporter("preview", num_parts, 0)
    numbers = {
        "clusters": parts.num_clusters,
        "clusters split": parts.num_split,
        "clusters too long": parts.num_refused,
        "records to make": num_parts,
    }
    lines += [(name, f"{number:,}") for name, number in numbers.items()]
    if num_parts > num_shown:
        lines.append(("shown above", f"the first {num_shown:,} records"))
    lines += [
        (f"leftover: {reason}", f"{number:,}")
        for reason, number in sorted(fates.counts().items())
        if reason != "open"
    ]
    if config.model is not None:
        attempts = config.num_attempts
        prices = Prices(config.price_in, config.price_out)
        cost = prices.cost(most * attempts, num_parts * config.max_output_tokens * attempts)
        unknown = "unknown: give price_in and price_out"
        lines += [
            ("requests", f"{num_parts:,}"),
            ("prompt tokens (estimate)", f"{tokens:,}"),
            ("price at most", unknown if cost is None else f"{cost:,.4f}"),
        ]
    return lines


def _shown(part: Part, config: DistillConfig) -> list[tuple[str, str]]:
    name = f"cluster {part.cluster}" + (f" part {part.part}" if part.part else "")
    if config.mixer == EXTRACTIVE:
        taken = extract(part.record()["records"], config.max_output_tokens)
        return [(f"{name} prompt", taken.prompt), (f"{name} completion", taken.completion)]
    turns = turns_of(part, config)
    shown = [f"{name} {turn['role']}" for turn in turns]
    for place, label in enumerate(shown):
        if label in shown[:place]:
            shown[place] = f"{label} {place}"
    return list(zip(shown, (turn["content"] for turn in turns), strict=True))
