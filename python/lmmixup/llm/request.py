"""What is asked of an LLM and what comes back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

BYTES_PER_TOKEN = 4
"""UTF-8 bytes that count as one token where a number is needed before the server said it."""

MOST_COUNTED = 2**53
"""A count of tokens from which it is nonsense."""

TOKENS_PER_MESSAGE = 16
"""Tokens that a chat template may put around one message."""


@dataclass(frozen=True)
class ChatRequest:
    """One question.

    Attributes:
        model: Name of the model, as the server knows it.
        messages: Turns with `role` and `content`.
        parameters: What goes to the server beside them, such as `temperature`.
        schema: JSON schema that the answer should follow, or `None`.
        repeat: Number of the repetition, so that one question can be asked again; not sent.
    """

    model: str
    messages: tuple[dict[str, str], ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    schema: dict[str, Any] | None = None
    repeat: int = 0

    def key(self) -> bytes:
        """What the answer is known by: SHA-256 of all that decides it, 32 bytes."""
        text = json.dumps(vars(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()

    def body(self, *, structured: bool) -> dict[str, Any]:
        """The JSON that is sent.

        Args:
            structured: Whether the schema goes along as `response_format`.
        """
        body = {"model": self.model, "messages": list(self.messages), **self.parameters}
        if structured and self.schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": self.schema},
            }
        return body

    def estimated_tokens(self) -> int:
        """Tokens of the prompt by a rule of thumb: 4 bytes each."""
        return -(-self._num_bytes() // BYTES_PER_TOKEN)

    def most_tokens(self) -> int:
        """Tokens that the prompt cannot exceed: one a byte, and the template's."""
        schema = 0 if self.schema is None else len(json.dumps(self.schema))
        return self._num_bytes() + schema + TOKENS_PER_MESSAGE * (len(self.messages) + 1)

    def _num_bytes(self) -> int:
        return sum(len(turn["content"].encode("utf-8", "replace")) for turn in self.messages)


@dataclass(frozen=True)
class Answer:
    """What the model said; it was paid for, whatever it says.

    Attributes:
        text: Content of the message; `None` where it has none.
        finish_reason: `stop`, `length`, `content_filter`, …
        refusal: The model's own words where it refused.
        prompt_tokens: As the server counted, else estimated.
        completion_tokens: The same.
        is_counted: Whether the server gave both numbers.
    """

    text: str | None
    finish_reason: str
    refusal: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    is_counted: bool = True


@dataclass(frozen=True)
class Failure:
    """Why there is no answer; never kept in a cache.

    Attributes:
        reason: A few words to group by, such as `timeout`.
        detail: What exactly came.
    """

    reason: str
    detail: str


Outcome: TypeAlias = Answer | Failure


def read_answer(body: bytes, estimated_tokens: int) -> Answer:
    """The answer in the body of a chat completion.

    Args:
        body: JSON as the server sent it.
        estimated_tokens: Of the prompt; stand in where the server counts none.

    Returns:
        The answer.

    Raises:
        ValueError: The body is not a chat completion; says what it is.
    """
    return answer_of(json.loads(body), estimated_tokens)


def answer_of(completion: Any, estimated_tokens: int) -> Answer:
    """The answer in a chat completion that was parsed; see `read_answer`."""
    choice = _first_choice(completion)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise ValueError("the first choice has no message")
    text, refusal = message.get("content"), message.get("refusal")
    if not isinstance(text, str | None) or not isinstance(refusal, str | None):
        raise ValueError("the message's content is not text")
    usage = completion.get("usage")
    prompt, made = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    return Answer(
        text=None if text is None else writable(text),
        finish_reason=writable(str(choice.get("finish_reason") or "unknown")),
        refusal=writable(refusal) if refusal else None,
        prompt_tokens=estimated_tokens if prompt is None else prompt,
        completion_tokens=_tokens_of(text) if made is None else made,
        is_counted=prompt is not None and made is not None,
    )


def _first_choice(completion: Any) -> dict[str, Any]:
    choices = completion.get("choices") if isinstance(completion, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError("expected a chat completion with choices")
    first: dict[str, Any] = choices[0]
    return first


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_COUNTED:
        return value
    return None


def writable(text: str) -> str:
    """The text with `?` for halves of surrogate pairs: JSON may hold them, no file can."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _tokens_of(text: str | None) -> int:
    return -(-len((text or "").encode("utf-8", "replace")) // BYTES_PER_TOKEN)
