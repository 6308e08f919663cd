"""Where the API key comes from; it goes into one header and nowhere else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lmmixup.errors import ArgumentError, FileError

if TYPE_CHECKING:
    from pathlib import Path


class ApiKey:
    """A key that cannot be printed by accident.

    Args:
        value: The key; empty for servers that want none.

    Raises:
        ArgumentError: It cannot stand in a header; the message does not repeat it.
    """

    def __init__(self, value: str) -> None:
        if not (value.isascii() and value.isprintable() and " " not in value):
            raise ArgumentError(
                "the API key has characters that no key has (a space, a line break, …); look at "
                "the variable or file that it comes from"
            )
        self._value = value

    def __repr__(self) -> str:
        return "ApiKey(***)"

    def headers(self) -> dict[str, str]:
        """The header that carries it; none for an empty key."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def scrub(self, text: str) -> str:
        """Takes the key out of a text that a server wrote."""
        return text.replace(self._value, "***") if self._value else text


def read_key(env: str, file: Path | None, *, required: bool) -> ApiKey:
    """The key from a file, else from the environment.

    Args:
        env: Name of the environment variable.
        file: File with nothing but the key, or `None`.
        required: Whether a server without a key makes no sense, as OpenAI's own.

    Raises:
        FileError: The file cannot be read.
        ArgumentError: There is no key but one is required.
    """
    if file is not None:
        try:
            return ApiKey(file.read_text(encoding="utf-8").strip())
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not text"
            raise FileError(f"{file}: {reason}; expected a file with an API key") from None
    value = os.environ.get(env, "").strip()
    if not value and required:
        raise ArgumentError(
            f"no key in ${env}, and no base_url of another server; set the variable, or name "
            "--api-key-file or --base-url"
        )
    return ApiKey(value)
