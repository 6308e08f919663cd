"""The options of every stage that asks an LLM, and of those that ask it for JSON."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotations
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from lmmixup.stage import StageConfig


class ServerConfig(StageConfig):
    """How a server is called.

    What decides an answer goes into the manifest. How the calls are made (limits, prices, keys,
    the cache) is excluded from it, so that a run which continues with another limit is the same
    run and ends with the same bytes.
    """

    base_url: str | None = None
    """Address of an OpenAI-compatible server, such as `http://localhost:8000/v1`; without it
    OpenAI's own."""

    api_key_env: str = Field(default="OPENAI_API_KEY", exclude=True)
    """Environment variable with the server's key; it is never stored."""

    api_key_file: Path | None = Field(default=None, exclude=True)
    """File with the server's key, in place of the environment variable."""

    concurrency: int = Field(default=16, ge=1, le=1024, exclude=True)
    """Calls to a server at a time."""

    timeout_s: float = Field(default=120.0, gt=0, exclude=True)
    """Seconds that one call may take."""

    max_retries: int = Field(default=6, ge=0, le=100, exclude=True)
    """Further attempts after a call that failed for a reason that may pass."""

    @model_validator(mode="after")
    def _check_server(self) -> Self:
        if self.base_url is not None:
            check_url(self.base_url)
        return self


class CallConfig(ServerConfig):
    """How an LLM is asked."""

    temperature: float = Field(default=0.0, ge=0, le=2)
    """Temperature of the answers."""

    max_output_tokens: int = Field(default=512, ge=1, le=1_000_000)
    """Tokens that one answer may have; an answer that is cut off there counts as none."""

    llm_seed: int | None = None
    """Seed that is sent to the server, for servers that take one."""

    requests_per_minute: float | None = Field(default=None, gt=0, exclude=True)
    """Limit of the server, in calls."""

    tokens_per_minute: float | None = Field(default=None, gt=0, exclude=True)
    """Limit of the server, in tokens: the prompt's (estimated) and `max_output_tokens`."""

    max_failures: int = Field(default=20, ge=1, exclude=True)
    """Calls that may fail for good, one after the other, before the run stops."""

    price_in: float | None = Field(default=None, ge=0, exclude=True)
    """Price of a million prompt tokens, in any currency; unknown without it."""

    price_out: float | None = Field(default=None, ge=0, exclude=True)
    """Price of a million answer tokens."""

    max_cost: float | None = Field(default=None, ge=0, exclude=True)
    """Stop before a request that could bring the cost of this run above it; what is in the
    cache costs nothing. Needs both prices."""

    cache: str = Field(default="auto", exclude=True)
    """File where answers are kept: `auto` is one in the user's cache folder, `none` keeps them
    only until the run is done."""

    batch: bool = Field(default=False, exclude=True)
    """Use the server's Batch API: cheaper, done within a day; a run that was stopped takes up
    its batches again."""

    batch_poll_s: float = Field(default=30.0, gt=0, exclude=True)
    """Seconds between two looks at a batch."""

    @model_validator(mode="after")
    def _check_calls(self) -> Self:
        if self.max_cost is not None and (self.price_in is None or self.price_out is None):
            raise ValueError("max_cost needs price_in and price_out: an unknown price has no limit")
        return self


class LLMConfig(CallConfig):
    """How an LLM is asked for one JSON object a record."""

    structured: Literal["auto", "on", "off"] = "auto"
    """Ask for JSON of a schema (response_format): `auto` goes on without, and says so, where the
    server refuses it."""


def check_url(url: str) -> None:
    """Raises `ValueError` where a server's address cannot be used or holds a secret."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"expected a URL such as http://localhost:8000/v1, got {url!r}")
    if parts.username or parts.password or parts.query:
        # The address goes into the manifest; a secret may not. It is not repeated here either.
        raise ValueError(
            "the base URL may hold neither user, password nor query; give the key by api_key_env"
        )
