"""The folder beside an output in which it is written until it is whole."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from lmmixup.errors import OutputExistsError

if TYPE_CHECKING:
    from pathlib import Path


class PartialFolder:
    """`.NAME.partial/` beside an output folder `NAME`.

    Args:
        output: The folder that shall be made.

    Attributes:
        out: Where output files are written until all of them are.
        work: Finished pieces that a killed run should not do again.
        scratch: What only one run needs; empty at its start, gone at its end.

    Source:
        Ours.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self._folder = output.parent / f".{output.name}.partial"
        self.out = self._folder / "out"
        self.work = self._folder / "work"
        self.scratch = self._folder / "scratch"
        self._old = self._folder / "old"
        self._key_file = self._folder / "key.json"
        self._lock_fd = -1

    def take(self) -> None:
        """Makes the folder and locks it for this process.

        Raises:
            OutputExistsError: Another run has it.
            OSError: It cannot be made.
        """
        import fcntl  # noqa: PLC0415

        lock = self._folder / "lock"
        while True:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock_fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(self._lock_fd), lock.stat()):
                    return
            except BlockingIOError:
                self.release()
                raise OutputExistsError(
                    f"{self.output}: another run is writing it now; wait for it or name another "
                    "folder"
                ) from None
            except FileNotFoundError:
                pass  # a run that ended just now took the folder away with it
            self.release()

    def release(self) -> None:
        """Gives the lock back."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def restore_old(self) -> None:
        """Puts back what a run that was killed between two renames had moved aside."""
        if self._old.exists() and not self.output.exists():
            self._old.rename(self.output)

    def earlier_key(self) -> dict[str, Any] | None:
        """The key of the run that left its work here, or `None`."""
        try:
            key: dict[str, Any] = json.loads(self._key_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return key

    def open(self, key: dict[str, Any]) -> bool:
        """Gets the folder ready; finished pieces of a run with another key go.

        Args:
            key: What makes two runs the same.

        Returns:
            Whether there are finished pieces of an earlier run.
        """
        if self.earlier_key() != key:
            shutil.rmtree(self.work, ignore_errors=True)
            self._key_file.write_text(json.dumps(key, sort_keys=True, indent=1), encoding="utf-8")
        for folder in (self.out, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        self.work.mkdir(exist_ok=True)
        return any(self.work.iterdir())

    def move_into_place(self) -> None:
        """Makes `out` the output; one that was there goes, and stays where that fails."""
        if self.output.exists():
            shutil.rmtree(self._old, ignore_errors=True)
            self.output.rename(self._old)
        try:
            self.out.rename(self.output)
        except OSError:
            self.restore_old()
            raise

    def clean_up(self, *, is_done: bool) -> None:
        """Takes away what nobody needs any more.

        Args:
            is_done: Whether the output is in place; else finished pieces stay.
        """
        if not self._folder.exists():
            return
        for folder in (self.out, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
        nothing_to_resume = not self.work.exists() or not any(self.work.iterdir())
        if is_done or nothing_to_resume:
            shutil.rmtree(self._folder, ignore_errors=True)
