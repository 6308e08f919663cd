"""An answer as it came, as columns of a stage's `answers.parquet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup.llm.request import Answer

if TYPE_CHECKING:
    from lmmixup.llm.request import Outcome

ANSWER_FIELDS = (
    pa.field("finish_reason", pa.string()),
    pa.field("prompt_tokens", pa.int64()),
    pa.field("completion_tokens", pa.int64()),
    pa.field("answer", pa.string()),
)
"""The columns, all null where there was no answer."""


def answer_columns(outcome: Outcome) -> dict[str, Any]:
    """Values of the columns.

    Args:
        outcome: The answer, or why there is none.

    Returns:
        By column; empty where there is none.

    Example:
        >>> from lmmixup.llm import Answer
        >>> answer_columns(Answer("Yes.", "stop", prompt_tokens=12, completion_tokens=2))["completion_tokens"]
        2
    """
    if not isinstance(outcome, Answer):
        return {}
    return {
        "finish_reason": outcome.finish_reason,
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "answer": outcome.text,
    }
