"""What is said where there is no terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmmixup.progress import Bars

if TYPE_CHECKING:
    import pytest


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
