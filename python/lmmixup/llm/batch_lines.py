"""Lines of a batch's files: how a request is named, and what came of it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from lmmixup.llm.request import Failure, Outcome, answer_of, writable
from lmmixup.llm.retry import ServerError

if TYPE_CHECKING:
    from lmmixup.llm.request import ChatRequest


def custom_id_of(request: ChatRequest) -> str:
    """Key and estimated tokens, so that an answer can be read without its request."""
    key = base64.b32encode(request.key()).decode().rstrip("=")
    return f"{key}-{request.estimated_tokens()}"


def key_of(custom_id: str) -> bytes:
    """The request's key in a custom id."""
    text = custom_id.partition("-")[0]
    return base64.b32decode(text + "=" * (-len(text) % 8))


def read_line(line: bytes) -> tuple[bytes, str, Outcome]:
    """One line of a batch's output: key, model, and the answer or why there is none.

    Raises:
        ServerError: The line is not one of a batch of ours.
    """
    try:
        row = json.loads(line)
        key, tokens = key_of(row["custom_id"]), int(row["custom_id"].partition("-")[2])
        response = row.get("response") or {}
        status, body = response.get("status_code"), response.get("body") or {}
        if status != 200:
            words = words_of(row.get("error")) or words_of(body.get("error"))
            return key, "", Failure(f"status {status}" if status else "batch error", words)
        model = str(body.get("model"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ServerError(f"expected a line of a batch's output, got {line[:200]!r}") from None
    try:
        return key, model, answer_of(body, tokens)
    except ValueError as error:
        return key, model, Failure("malformed answer", str(error))


def words_of(error: Any) -> str:
    """What an error of the interface says; empty where it is none."""
    words = error.get("message") or error.get("code") if isinstance(error, dict) else None
    return writable(str(words or ""))
