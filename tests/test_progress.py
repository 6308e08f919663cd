"""What is said on a terminal, and where there is none."""

from __future__ import annotations

import io
import re

import pytest

from lmmixup.progress import Bars


def test_lines_have_share_time_left_and_what_stands_beside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 60.0, 61.0])
    monkeypatch.setattr("lmmixup.progress.time.monotonic", lambda: next(now))
    bars = Bars()
    bars("rate", 0, 400)
    bars.beside("1,200 tokens, cost 0.0012")
    bars("rate", 100, 400)
    bars("rate", 101, 400)
    assert capsys.readouterr().err == (
        "rate: 100 of 400 (25%), 1,200 tokens, cost 0.0012, 3 min left\n"
    )


def test_a_phase_that_comes_again_is_timed_anew(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 50.0, 1000.0, 1010.0])
    monkeypatch.setattr("lmmixup.progress.time.monotonic", lambda: next(now))
    bars = Bars()
    for done in (0, 100, 0, 50):
        bars("read pool", done, 100)
    assert capsys.readouterr().err == (
        "read pool: 100 of 100 (100%), 0 s left\nread pool: 50 of 100 (50%), 10 s left\n"
    )


class Terminal(io.StringIO):
    """A standard error that bars are drawn on."""

    def isatty(self) -> bool:
        return True


def draw_on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """To be called by the test itself: pytest sets `sys.stderr` again after the fixtures."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    return terminal


def test_every_bar_is_full_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = draw_on_terminal(monkeypatch)
    with Bars() as bars:
        for phase, done in [("read pool", 0), ("read pool", 700), ("join", 0), ("join", 3)]:
            bars(phase, done, 1000)
        bars("read pool", 0, 1000)
        bars.close()
    *_, read, join, end = re.split(r"[\r\n]+", terminal.getvalue())
    assert re.search(r"read pool .* 1,000 in \d+ s", read)
    assert re.search(r"join .* 1,000 in \d+ s", join)
    assert end == "\x1b[?25h"


def test_a_bar_stays_where_work_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = draw_on_terminal(monkeypatch)
    with pytest.raises(ValueError, match="broken"), Bars() as bars:
        bars("read pool", 0, 1000)
        bars("read pool", 700, 1000)
        raise ValueError("broken")
    assert "700 of 1,000" in terminal.getvalue()
    assert " in " not in terminal.getvalue()
