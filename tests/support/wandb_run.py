"""Reads what W&B keeps of a run that is offline."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD, _BLOCK = 7, 32_768
_FULL, _LAST = 1, 4


def records(path: Path) -> Iterator[Any]:
    """Records of a `run-*.wandb`: a log in the form of LevelDB, of protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = path.read_bytes(), _HEAD, []
    while at + _HEAD <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEAD:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        parts.append(data[at + _HEAD : at + _HEAD + length])
        at += _HEAD + length
        if kind in {_FULL, _LAST}:
            record = Record()
            record.ParseFromString(b"".join(parts))
            yield record
            parts.clear()
