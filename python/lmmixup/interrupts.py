"""Ctrl-C around a step that must happen whole."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType


class Held:
    """Ctrl-C waits while this is entered; whoever holds it looks at `came` afterwards.

    Attributes:
        came: Whether Ctrl-C was pressed meanwhile.

    Notes:
        Only the main thread hears of Ctrl-C: in any other one this does nothing.

    Source:
        Ours.
    """

    def __init__(self) -> None:
        self.came = False
        self._before: Any = None

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and callable(signal.getsignal(signal.SIGINT)):
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: Any) -> None:  # noqa: ARG002
        self.came = True
