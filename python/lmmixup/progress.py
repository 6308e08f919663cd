"""How long work shows that it is alive: bars for people, silence for scripts."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from rich.progress import Progress, TaskID

T = TypeVar("T")

_LINE_EVERY_S = 10.0
"""How often a phase prints a line where there is no terminal to draw a bar on."""


class Reporter:
    """Takes progress and notes and shows nothing; the base of those that do.

    An instance is callable with `(phase, done, total)`, which is what the compiled functions
    call every 100 ms; `total` is 0 where it is unknown.
    """

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Says that `done` of `total` units of a phase are finished."""

    def note(self, message: str) -> None:
        """Says one sentence that a person should read, such as a method that was chosen."""

    def beside(self, text: str) -> None:
        """Sets what stands beside the bar of the current phase, such as what it cost so far."""

    def track(self, items: Iterable[T], phase: str, total: int | None = None) -> Iterator[T]:
        """Yields the items and counts them as a phase.

        Args:
            items: What to go through.
            phase: Name that people read, such as `"read pool"`.
            total: Number of items where known.

        Yields:
            The items, unchanged.
        """
        self(phase, 0, total or 0)
        for done, item in enumerate(items, start=1):
            yield item
            self(phase, done, total or 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the display; the reporter may be used again afterwards."""


SILENT = Reporter()
"""The reporter of the Python API's defaults."""


class Bars(Reporter):
    """Draws a bar a phase on stderr, with rate and time left; lines where there is no terminal."""

    def __init__(self) -> None:
        self._display: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last_line_s: dict[str, float] = {}
        self._first_s: dict[str, float] = {}
        self._beside = ""

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Moves the bar of a phase."""
        if not phase:
            return
        if sys.stderr.isatty():
            self._draw(phase, done, total)
        else:
            self._print(phase, done, total)

    def note(self, message: str) -> None:
        """Prints the sentence above the bars."""
        if self._display is not None:
            self._display.console.print(message, highlight=False)
        else:
            sys.stderr.write(f"{message}\n")

    def beside(self, text: str) -> None:
        """Shows the text with the next move of the bar, or in the next line."""
        self._beside = text

    def close(self) -> None:
        """Takes the bars away from the terminal."""
        if self._display is not None:
            self._display.stop()
        self._display = None
        self._tasks.clear()
        self._beside = ""

    def _draw(self, phase: str, done: int, total: int) -> None:
        if self._display is None:
            self._display = _rich_progress()
            self._display.start()
        if phase not in self._tasks:
            self._finish_others()
            self._beside = ""
            self._tasks[phase] = self._display.add_task(phase, total=total or None, beside="")
        self._display.update(
            self._tasks[phase], completed=done, total=total or None, beside=self._beside
        )

    def _finish_others(self) -> None:
        # A phase ends when the next begins: compiled functions report every 100 ms only, so
        # the last report of a phase is usually short of its total.
        assert self._display is not None  # noqa: S101
        for task in self._display.tasks:
            self._display.update(task.id, total=task.total or task.completed or 1)
            self._display.update(task.id, completed=task.total or 1)

    def _print(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        last = self._last_line_s.setdefault(phase, now)
        self._first_s.setdefault(phase, now)
        if now - last >= _LINE_EVERY_S:
            self._last_line_s[phase] = now
            share = f" of {total:,} ({done / total:.0%})" if total else ""
            beside = f", {self._beside}" if self._beside else ""
            left = _time_left(now - self._first_s[phase], done, total)
            sys.stderr.write(f"{phase}: {done:,}{share}{beside}{left}\n")


def _time_left(taken_s: float, done: int, total: int) -> str:
    if not done or not total:
        return ""
    return f", {taken_s * (total - done) / done / 60:,.0f} min left"


def _rich_progress() -> Progress:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    class Rate(TextColumn):
        def render(self, task):  # type: ignore[no-untyped-def]
            speed = task.finished_speed or task.speed
            self.text_format = f"{speed:,.0f}/s" if speed else ""
            return super().render(task)

    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        Rate(""),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[beside]}"),
        console=Console(stderr=True),
    )
