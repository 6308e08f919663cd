"""Ways to put every record of a pool to a server: the stage `rate`, and bare clients.

Each returns CPU seconds of its process, then its resident MB at every tenth of the records.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from measure import status_mb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Run = Callable[..., np.ndarray]

CONCURRENCY = 64
RUBRIC_CHARS = 2000


def ours() -> Run:
    """`lmmixup rate`, whole: pool, prompts, cache on disk, parsing, result folder."""
    import aiohttp  # noqa: F401
    import aiolimiter  # noqa: F401

    from lmmixup import rate
    from lmmixup.pool import open_pool
    from lmmixup.progress import Reporter

    class Memory(Reporter):
        def __init__(self) -> None:
            self.samples: list[float] = []

        def __call__(self, phase: str, done: int, total: int) -> None:
            if phase == "rate" and done % max(1, total // 10) == 0:
                self.samples.append(status_mb("VmRSS"))

    def run(path: Path, url: str) -> np.ndarray:
        memory, start = Memory(), time.process_time()
        config = rate.RateConfig(base_url=url, model=("m",), cache="none", concurrency=CONCURRENCY)
        with tempfile.TemporaryDirectory() as folder:
            result = rate.run(open_pool(path), config, output=Path(folder) / "out", reporter=memory)
        assert result.figures["unrated"] == 0
        return np.array([time.process_time() - start, *memory.samples])

    return run


def openai_sdk() -> Run:
    """AsyncOpenAI and nothing else: the answers are thrown away."""
    import openai

    def run(path: Path, url: str) -> np.ndarray:
        start = time.process_time()

        async def main() -> None:
            async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
                await ask_all(path, lambda body: client.chat.completions.create(**body))

        asyncio.run(main())
        return np.array([time.process_time() - start, status_mb("VmRSS")])

    return run


def aiohttp_alone() -> Run:
    """A bare aiohttp session: the answers are parsed and thrown away."""
    import aiohttp

    def run(path: Path, url: str) -> np.ndarray:
        start = time.process_time()

        async def main() -> None:
            connector = aiohttp.TCPConnector(limit=CONCURRENCY)
            async with aiohttp.ClientSession(connector=connector) as session:

                async def call(body: dict[str, Any]) -> Any:
                    async with session.post(f"{url}/chat/completions", json=body) as answer:
                        return json.loads(await answer.read())

                await ask_all(path, call)

        asyncio.run(main())
        return np.array([time.process_time() - start, status_mb("VmRSS")])

    return run


async def ask_all(path: Path, call: Callable[[dict[str, Any]], Awaitable[Any]]) -> None:
    """Workers that share the records between them."""
    todo = bodies(path)

    async def work() -> None:
        for body in todo:
            await call(body)

    await asyncio.gather(*itertools.starmap(work, [()] * CONCURRENCY))


def bodies(path: Path) -> Iterator[dict[str, Any]]:
    """Requests as long as those of `rate`."""
    rubric = {"role": "system", "content": "x" * RUBRIC_CHARS}
    with path.open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            text = f"{record['instruction']}\n{record['output']}"
            yield {"model": "m", "messages": [rubric, {"role": "user", "content": text}],
                   "temperature": 0, "max_tokens": 512}  # fmt: skip
