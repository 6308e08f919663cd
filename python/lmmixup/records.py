"""What records are, and the one rule that makes prompt and completion of a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lmmixup import _rust
from lmmixup.errors import DataError
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa


class Records(Protocol):
    """Canonical records that can be read again and again: a pool, or several as one."""

    @property
    def schema(self) -> pa.Schema:
        """The columns."""

    def batches(
        self,
        columns: Sequence[str] | None = None,
        *,
        num_threads: int = 0,
        reporter: Reporter = SILENT,
    ) -> Iterator[pa.RecordBatch]:
        """The records, in the same order each time."""


def prompt_completion(messages: Iterable[Mapping[str, str | None]]) -> tuple[str, str]:
    r"""Prompt and completion of a conversation.

    The completion is the content of the last assistant turn. The prompt joins, with newlines,
    the contents of the turns before it that are not system turns. Readers of all formats use
    the same function.

    Args:
        messages: Turns with `role` and `content`; synonyms of roles (`human`, `gpt`, …) are
            understood, a content of `None` is empty.

    Returns:
        Prompt and completion.

    Raises:
        DataError: There is no assistant turn, or a turn lacks role or content.

    Source:
        Ours.

    Example:
        >>> prompt_completion([
        ...     {"role": "system", "content": "Be brief."},
        ...     {"role": "user", "content": "1 + 1?"},
        ...     {"role": "assistant", "content": "2"},
        ... ])
        ('1 + 1?', '2')
    """
    try:
        turns = [(turn["role"] or "", turn["content"] or "") for turn in messages]
    except KeyError as error:
        raise DataError(f"expected turns with role and content, got one without {error}") from None
    pair = _rust.pool_prompt_completion(turns)
    if pair is None:
        roles = ", ".join(role for role, _ in turns) or "none"
        raise DataError(f"expected at least one assistant turn, got turns of: {roles}")
    return pair
