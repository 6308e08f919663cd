"""The judges: which model on which server, and what its columns are called."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lmmixup.llm import Client
from lmmixup.llm.config import check_url
from lmmixup.llm.key import ApiKey, read_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from lmmixup.llm import AnswerCache, Bill
    from lmmixup.progress import Reporter
    from lmmixup.rate.config import RateConfig

_SPEC = re.compile(r"(?P<name>.+?)(?:@(?P<url>https?://[^#]+)(?:#(?P<env>\w+))?)?")


@dataclass(frozen=True)
class Judge:
    """One judge.

    Attributes:
        name: Name of the model.
        base_url: Its server, where that is not the config's.
        key_env: Environment variable of that server's key; none is sent without it.
    """

    name: str
    base_url: str | None = None
    key_env: str | None = None


def read_judge(spec: str) -> Judge:
    """The judge of a spec.

    Args:
        spec: `NAME`, `NAME@URL` or `NAME@URL#VARIABLE`.

    Raises:
        ValueError: The spec is empty, or its address cannot be used.

    Example:
        >>> read_judge("llama@http://localhost:8000/v1")
        Judge(name='llama', base_url='http://localhost:8000/v1', key_env=None)
    """
    found = _SPEC.fullmatch(spec.strip())
    if found is None:
        raise ValueError(f"expected a judge as NAME, NAME@URL or NAME@URL#VARIABLE, got {spec!r}")
    if found["url"]:
        check_url(found["url"])
    return Judge(found["name"], found["url"], found["env"])


def column_names(judges: Sequence[Judge]) -> list[str]:
    """What stands for each judge in the names of its columns.

    Raises:
        ValueError: Two judges have the same.

    Example:
        >>> column_names([Judge("gpt-4o-mini"), Judge("meta-llama/Llama-3.1-8B")])
        ['gpt_4o_mini', 'meta_llama_llama_3_1_8b']
    """
    names = [re.sub(r"\W+", "_", judge.name.lower()).strip("_") or "judge" for judge in judges]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"two judges would share the columns of {twice[0]!r}; ask one judge several times "
            "with judge_repeat"
        )
    return names


class Panel:
    """All judges at work; use it as an async context manager.

    Args:
        config: Names the judges.
        cache: Shared by all.
        bill: Shared by all.
        reporter: Is told what a person should know.

    Attributes:
        judges: The judges in the config's order.
        clients: The client of each; judges of one server share it, and so its limits.
    """

    def __init__(
        self, config: RateConfig, cache: AnswerCache, bill: Bill, reporter: Reporter
    ) -> None:
        self.judges = [read_judge(spec) for spec in config.model]
        by_server: dict[str | None, Client] = {}
        for judge in self.judges:
            if judge.base_url not in by_server:
                by_server[judge.base_url] = Client(
                    _config_of(judge, config),
                    cache,
                    bill,
                    reporter=reporter,
                    key=_own_key(judge),
                )
        self.clients = [by_server[judge.base_url] for judge in self.judges]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for client in dict.fromkeys(self.clients):
            await self._stack.enter_async_context(client)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def num_reused(self) -> int:
        """Answers that came from the cache."""
        return sum(client.num_reused for client in dict.fromkeys(self.clients))


def _config_of(judge: Judge, config: RateConfig) -> RateConfig:
    if judge.base_url is None:
        return config
    return config.model_copy(update={"base_url": judge.base_url})


def _own_key(judge: Judge) -> ApiKey | None:
    """The key of a judge on a server of its own: never the one of the config's server."""
    if judge.base_url is None:
        return None
    if judge.key_env is None:
        return ApiKey("")
    return read_key(judge.key_env, None, required=True)
