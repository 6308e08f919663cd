"""What belongs to a tokenizer: its file, its chat template, the names of its special tokens."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmmixup import _rust
from lmmixup.errors import DataError, FileError

ROLES = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token")
"""Special tokens that templates may name."""


@dataclass(frozen=True)
class TokenizerFiles:
    """A tokenizer and what templates need of it.

    Attributes:
        tokenizer: The `tokenizer.json`.
        template: Source of the chat template, or `None`.
        variables: Special tokens by their role, such as `bos_token`.
    """

    tokenizer: Path
    template: str | None
    variables: dict[str, str]

    def digests(self) -> dict[str, str]:
        """SHA-256 of the tokenizer and of the chat template, to tell packed rows by.

        Padding and truncation are left out: they are no part of how a chat becomes ids, and
        `save_pretrained` of transformers changes them. The order of keys does not matter.
        """
        texts = {
            "tokenizer_sha256": _rust.tokenizer_identity(self.tokenizer),
            "template_sha256": (self.template or "").encode("utf-8", "surrogatepass"),
        }
        return {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}


def find_files(path: str | Path, template: str | Path | None = None) -> TokenizerFiles:
    """Finds the files of a tokenizer.

    Args:
        path: A `tokenizer.json`, or a folder with one.
        template: A file with another chat template.

    Returns:
        The files; the template is what `template` names, else `chat_template.jinja` beside the
        tokenizer, else `chat_template` in its `tokenizer_config.json` (`default` of several).

    Raises:
        FileError: There is no such file.
        DataError: A file is not what it should be.

    Source:
        The layout of `save_pretrained` in transformers.
    """
    file = Path(path)
    file = file / "tokenizer.json" if file.is_dir() else file
    if not file.is_file():
        raise FileError(
            f"{file}: expected a tokenizer.json, got none; convert a slow tokenizer with "
            "`AutoTokenizer.from_pretrained(…).save_pretrained(…)`"
        )
    config = _json(file.with_name("tokenizer_config.json"))
    named = _json(file.with_name("special_tokens_map.json")) | config
    variables = {role: _content(named[role]) for role in ROLES if named.get(role)}
    return TokenizerFiles(file, _template(file, config, template), variables)


def _template(file: Path, config: dict[str, Any], given: str | Path | None) -> str | None:
    beside = file.with_name("chat_template.jinja")
    if given is not None or beside.is_file():
        source = Path(given) if given is not None else beside
        try:
            return source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"{source}: expected a chat template, got: {error}") from None
    found = config.get("chat_template")
    if isinstance(found, list):
        named = {one.get("name"): one.get("template") for one in found}
        found = named.get("default")
    return found if isinstance(found, str) else None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: expected a JSON object, got: {error}") from None
    return value if isinstance(value, dict) else {}


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)
