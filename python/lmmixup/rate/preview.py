"""What rating a pool would ask and cost, without asking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lmmixup.llm import AnswerCache, Prices
from lmmixup.llm.cache import default_file
from lmmixup.progress import SILENT, Reporter
from lmmixup.rate.judges import read_judge
from lmmixup.rate.prompt import judge_request
from lmmixup.rate.rubric import load_rubrics
from lmmixup.rate.stage import record_messages

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.pool import Pool
    from lmmixup.rate.config import RateConfig

ANSWER_TOKENS = 40
"""Tokens of an ordinary answer: the JSON object and nothing else."""


def preview(
    pool: Pool, config: RateConfig, *, num_threads: int = 0, reporter: Reporter = SILENT
) -> list[tuple[str, str]]:
    """What `run` would do with the same pool and config; asks nothing and writes nothing.

    Args:
        pool: The records; read once.
        config: As for `run`.
        num_threads: Threads that read the pool; 0 takes all.
        reporter: Where progress goes.

    Returns:
        Label and value of each line: requests, tokens (an estimate), price.

    Raises:
        FileError: The cache or the rubric cannot be used.

    Notes:
        Holds 8 bytes and their overhead for each different request.

    Source:
        Ours.
    """
    rubrics = load_rubrics(config.rubric)
    judges = [read_judge(spec) for spec in config.model]
    seen: set[bytes] = set()
    num_records = num_known = tokens = most = 0
    with _Known(config.cache) as known:
        for records in pool.batches(("task_type", "prompt", "completion"), num_threads=num_threads):
            for messages in record_messages(records, rubrics):
                num_records += 1
                for judge in judges:
                    for repeat in range(config.judge_repeat):
                        request = judge_request(judge.name, messages, config, repeat)
                        key = request.key()
                        if key in known:
                            num_known += 1
                        elif key[:8] not in seen:
                            seen.add(key[:8])
                            tokens += request.estimated_tokens()
                            most += request.most_tokens()
            reporter("count tokens", num_records, 0)
    prices = Prices(config.price_in, config.price_out)
    likely = prices.cost(tokens, len(seen) * ANSWER_TOKENS)
    highest = prices.cost(most, len(seen) * config.max_output_tokens)
    return [
        ("records", f"{num_records:,}"),
        ("requests", f"{len(seen):,}"),
        ("answers in the cache", f"{num_known:,}"),
        ("prompt tokens (estimate)", f"{tokens:,}"),
        (f"answer tokens (estimate, {ANSWER_TOKENS} each)", f"{len(seen) * ANSWER_TOKENS:,}"),
        ("price (estimate)", _price(likely)),
        ("price at most", _price(highest)),
    ]


def _price(value: float | None) -> str:
    return "unknown: give price_in and price_out" if value is None else f"{value:,.4f}"


class _Known:
    """The cache of a config where there is one already; it is not made for a look."""

    def __init__(self, where: str) -> None:
        path: Path | None = None if where == "none" else _path_of(where)
        self._cache = AnswerCache(path) if path is not None and path.exists() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._cache is not None:
            self._cache.close()

    def __contains__(self, key: bytes) -> bool:
        return self._cache is not None and key in self._cache


def _path_of(where: str) -> Path:
    from pathlib import Path  # noqa: PLC0415

    return default_file() if where == "auto" else Path(where)
