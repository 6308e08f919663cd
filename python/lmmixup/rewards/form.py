"""Whether an output has the form that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from lmmixup.contract import ANSWER_PATTERNS, fits_task, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Completion: TypeAlias = str | Sequence[Mapping[str, Any]]

FORMAT_BRANCHES = (0.0, 0.5, 1.0)


def completion_text(completion: Completion) -> str:
    """The text of a completion: itself, or the content of its last message."""
    if isinstance(completion, str):
        return completion
    return str(completion[-1]["content"] or "") if completion else ""


def format_reward(
    completions: Sequence[Completion], *, task_type: Sequence[str | None], **columns: Any
) -> list[float | None]:
    r"""0.5 for the tags, 0.5 more where the answer in them has the form of its task type.

    Args:
        completions: N outputs, as text or as messages.
        task_type: N task types.
        columns: Others that the trainer passes; not used.

    Returns:
        N rewards; `None` for an unknown task type.

    Source:
        METHOD §5.

    Example:
        >>> answer = "<think>sum</think><answer>Q: 1 + 1?\nA: 2</answer>"
        >>> format_reward([answer, answer, "2"], task_type=["qa", "mcq", "qa"])
        [1.0, 0.5, 0.0]
    """
    del columns
    pairs = zip(completions, task_type, strict=True)
    return [_format(completion_text(text), kind) for text, kind in pairs]


def _format(text: str, task_type: str | None) -> float | None:
    if task_type not in ANSWER_PATTERNS:
        return None
    output = parse(text)
    if output is None:
        return 0.0
    return 1.0 if fits_task(output.answer, task_type) else 0.5
