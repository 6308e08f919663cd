"""Answers kept in SQLite, so that nothing is paid for twice."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lmmixup.errors import FileError
from lmmixup.llm.request import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

APPLICATION_ID = 0x6C6D6D78
"""Written into the file's header: `lmmx`."""

VERSION = 1
"""Version of the table; a file of a newer one is refused."""

BUSY_TIMEOUT_S = 60.0
"""How long to wait for another process that writes."""

PAGES_AHEAD = 8192
"""Pages of 4 KiB that the log may hold before they move into the file, with a sync."""

_CREATE = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, model TEXT NOT NULL, server TEXT NOT NULL, answer TEXT NOT NULL
)
"""


class AnswerCache:
    """A file of answers by the key of their request; holds no failure and no API key.

    Args:
        path: The file; it is made where there is none.

    Raises:
        FileError: The file is no SQLite database, belongs to another program, was written by a
            newer version, or cannot be opened.

    Notes:
        In write-ahead mode: an answer that `put` returned for survives the process's death,
        and several processes may share the file.

    Source:
        Ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise FileError(f"{path}: {error}; name another --cache") from error
        try:
            self._open()
        except sqlite3.Error as error:
            self._db.close()
            raise FileError(
                f"{path}: expected a cache of answers, got a file that SQLite cannot read "
                f"({error}); name another --cache"
            ) from error
        except FileError:
            self._db.close()
            raise

    def _open(self) -> None:
        if self._pragma("application_id") != APPLICATION_ID:
            self._create()
        version = self._pragma("user_version")
        if version > VERSION:
            raise FileError(
                f"{self.path}: written by a newer lmmixup (format {version}, this one knows "
                f"{VERSION}); update lmmixup or name another --cache"
            )
        self._log_ahead()
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(f"PRAGMA wal_autocheckpoint = {PAGES_AHEAD}")

    def _create(self) -> None:
        """Makes the table under the write lock, unless another process was first."""
        self._db.execute("BEGIN IMMEDIATE")
        application = self._pragma("application_id")
        if application != APPLICATION_ID:
            tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables or application:
                raise FileError(
                    f"{self.path}: expected a cache of answers, got another program's SQLite "
                    "file; name another --cache"
                )
            self._db.execute(_CREATE)
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._db.execute(f"PRAGMA user_version = {VERSION}")
        self._db.execute("COMMIT")

    def _log_ahead(self) -> None:
        """Enters write-ahead mode.

        SQLite does not wait for its timeout here when two processes enter at once: one of them
        gets `database is locked` straight away, so the waiting is ours.
        """
        until = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(0.01)

    def _pragma(self, name: str) -> int:
        value: int = self._db.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def __len__(self) -> int:
        return int(self._row("SELECT count(*) FROM answers")[0])

    def __contains__(self, key: bytes) -> bool:
        return bool(self._row("SELECT count(*) FROM answers WHERE key = ?", key)[0])

    def _row(self, query: str, *values: bytes) -> Any:
        """The first row; `None` where there is none."""
        try:
            return self._db.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> FileError:
        return FileError(f"{self.path}: damaged ({error}); name another --cache")

    def get(self, key: bytes) -> tuple[Answer, str] | None:
        """The answer of a key and the server that gave it, where it is known.

        Raises:
            FileError: The file is damaged.
        """
        row = self._row("SELECT answer, server FROM answers WHERE key = ?", key)
        try:
            return None if row is None else (Answer(**json.loads(row[0])), row[1])
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from error

    def put(self, key: bytes, model: str, server: str, answer: Answer) -> None:
        """Keeps one answer; it is safe when this returns."""
        self.put_all([(key, model, server, answer)])

    def put_all(self, rows: Iterable[tuple[bytes, str, str, Answer]]) -> None:
        """Keeps many answers in one transaction.

        Args:
            rows: Key, model, server and answer of each.

        Raises:
            FileError: The file cannot be written.
        """
        values = [
            (key, model, server, json.dumps(vars(answer))) for key, model, server, answer in rows
        ]
        try:
            if len(values) == 1:
                self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", values[0])
                return
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", values)
        except sqlite3.Error as error:
            raise FileError(f"{self.path}: {error}; name another --cache") from error

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_cache(where: str, work: Path) -> AnswerCache:
    """The cache that a config's `cache` field names.

    Args:
        where: `auto`, `none` or a file.
        work: Folder of a run, for `none`: what was paid for survives a kill all the same.
    """
    if where == "none":
        return AnswerCache(work / "answers.sqlite")
    return AnswerCache(default_file() if where == "auto" else Path(where))


def default_file() -> Path:
    """`lmmixup/answers.sqlite` in the user's cache folder, as XDG names it."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lmmixup" / "answers.sqlite"
