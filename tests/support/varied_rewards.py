"""Rewards that differ within a group: a drawn model writes no tags by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmmixup.contract import render
from lmmixup.rewards import Rewards

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def varied(before: Callable[..., Any]) -> Callable[..., Any]:
    """`Rewards.combined` of outputs that are brought into form, some more than others."""

    def combined(self: Any, completions: Sequence[Any], **columns: Any) -> Any:
        if isinstance(completions[0], str):  # the check before training
            return before(self, completions, **columns)
        made = []
        for number, completion in enumerate(completions):
            text = completion[-1]["content"]
            body = f"Q: {text[:3]}?\nA: {text}"
            made.append(render("t", body if number % 2 else text) if number % 4 else text)
        return before(self, made, **columns)

    return combined


def install() -> None:
    """Does so in this process from now on."""
    Rewards.combined = varied(Rewards.combined)  # type: ignore[method-assign]
