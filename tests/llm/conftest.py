"""A scripted server and the means to ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from llm_server import LLMServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("aiohttp", reason="the extra `llm` is not installed")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come soon; what a server asks to wait is waited in full."""
    monkeypatch.setattr("lmmixup.llm.retry.FIRST_WAIT_S", 0.02)


@pytest.fixture
def server() -> Iterator[LLMServer]:
    with LLMServer() as running:
        yield running
