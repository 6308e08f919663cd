"""How long work shows that it is alive: bars for people, silence for scripts."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, Task, TaskID

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


class Renamed(Reporter):
    """Passes on what another work reports, under a name of its own.

    Args:
        reporter: Takes it.
        phase: What the phases are called, such as `write` where a pool is read to be written.
    """

    def __init__(self, reporter: Reporter, phase: str) -> None:
        self._reporter = reporter
        self._phase = phase

    def __call__(self, phase: str, done: int, total: int) -> None:  # noqa: ARG002
        """Passes on how far it is."""
        self._reporter(self._phase, done, total)

    def note(self, message: str) -> None:
        """Passes the sentence on."""
        self._reporter.note(message)

    def beside(self, text: str) -> None:
        """Passes on what stands beside the bar."""
        self._reporter.beside(text)


class Bars(Reporter):
    """Draws a bar a phase on stderr, with rate and time left; lines where there is no terminal."""

    def __init__(self) -> None:
        self._display: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._done: dict[str, int] = {}
        self._last_line_s: dict[str, float] = {}
        self._first_s: dict[str, float] = {}
        self._beside = ""

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Moves the bar of a phase; one that goes back starts anew."""
        if not phase:
            return
        starts = phase not in self._done or done < self._done[phase]
        self._done[phase] = done
        if sys.stderr.isatty():
            self._draw(phase, done, total, starts=starts)
        else:
            self._print(phase, done, total, starts=starts)

    def note(self, message: str) -> None:
        """Prints the sentence above the bars."""
        if self._display is not None:
            self._display.console.print(message, highlight=False)
        else:
            sys.stderr.write(f"{message}\n")

    def beside(self, text: str) -> None:
        """Shows the text with the next move of the bar, or in the next line."""
        self._beside = text

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()  # what did not end well leaves its bar where it was

    def close(self) -> None:
        """Fills the last bar and leaves the terminal."""
        if self._display is not None:
            self._finish(self._display)
        self._stop()

    def _stop(self) -> None:
        if self._display is not None:
            self._display.stop()
        self._display = None
        self._tasks.clear()
        self._done.clear()
        self._beside = ""

    def _draw(self, phase: str, done: int, total: int, *, starts: bool) -> None:
        if self._display is None:
            self._display = _rich_progress()
            self._display.start()
        if starts:
            self._finish(self._display)
            self._beside = ""
            if phase in self._tasks:
                self._display.reset(self._tasks[phase], total=total or None)
            else:
                self._tasks[phase] = self._display.add_task(phase, total=total or None, beside="")
        self._display.update(
            self._tasks[phase], completed=done, total=total or None, beside=self._beside
        )

    @staticmethod
    def _finish(display: Progress) -> None:
        # A phase ends when the next begins: compiled functions report every 100 ms only, so
        # the last report of a phase is usually short of its total.
        for task in display.tasks:
            display.update(task.id, total=task.total or task.completed or 1)
            display.update(task.id, completed=task.total or 1)

    def _print(self, phase: str, done: int, total: int, *, starts: bool) -> None:
        now = time.monotonic()
        if starts:
            self._last_line_s[phase] = self._first_s[phase] = now
        if now - self._last_line_s[phase] >= _LINE_EVERY_S:
            self._last_line_s[phase] = now
            share = f" of {total:,} ({done / total:.0%})" if total else ""
            beside = f", {self._beside}" if self._beside else ""
            left = _time_left(now - self._first_s[phase], done, total)
            sys.stderr.write(f"{phase}: {done:,}{share}{beside}{left}\n")


def _time_left(taken_s: float, done: int, total: int) -> str:
    if not done or not total:
        return ""
    return f", {_duration(taken_s * (total - done) / done)} left"


def _duration(seconds: float) -> str:
    """Such as `42 s`, `7 min` or `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _rich_progress() -> Progress:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class State(ProgressColumn):
        """`1,200 of 5,000 · 310/s · 12 s left`, and `5,000 in 16 s` at the end."""

        def render(self, task: Task) -> Text:
            if task.finished:
                return Text(f"{task.completed:,.0f} in {_duration(task.finished_time or 0)}")
            of = "" if task.total is None else f" of {task.total:,.0f}"
            rate = f" · {task.speed:,.0f}/s" if task.speed else ""
            left_s = task.time_remaining
            left = "" if left_s is None or not task.speed else f" · {_duration(left_s)} left"
            return Text(f"{task.completed:,.0f}{of}{rate}{left}")

    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=30),
        State(),
        TextColumn("{task.fields[beside]}"),
        console=Console(stderr=True),
    )
