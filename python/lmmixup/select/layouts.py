"""Files that trainers open, beside `data.parquet`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

Turns = list[dict[str, str]]

LLAMA_FACTORY = {
    "lmmixup": {
        "file_name": "train.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }
}
"""`dataset_info.json`: train with `dataset_dir` at its folder and `dataset: lmmixup`."""

AXOLOTL = """\
# Put this into the config; the path is seen from where axolotl runs.
datasets:
  - path: train.jsonl
    ds_type: json
    type: chat_template
    field_messages: messages
    message_property_mappings:
      role: role
      content: content
    roles_to_train: ["assistant"]
"""


def write_layout(name: str, records: pa.Table, folder: Path) -> dict[str, Any]:
    """Writes what a trainer opens.

    Args:
        name: `trl`, `llama-factory` or `axolotl`; also the name of the folder that is made.
        records: The selected records, in their order.
        folder: Where that folder goes.

    Returns:
        Figures for the manifest.
    """
    target = folder / name
    target.mkdir()
    return LAYOUTS[name](_conversations(records), target)


def _conversations(records: pa.Table) -> Iterator[Turns]:
    """The turns of each record up to its completion, the last turn of the assistant."""
    for batch in records.select(["messages"]).to_batches(max_chunksize=1024):
        for messages in batch.column(0).to_pylist():
            turns = [{"role": turn["role"], "content": turn["content"] or ""} for turn in messages]
            while turns and turns[-1]["role"] != "assistant":
                turns.pop()
            yield turns


def _write_trl(conversations: Iterable[Turns], folder: Path) -> dict[str, Any]:
    # Prompt and completion apart: TRL then takes the loss over the completion only.
    _write_lines(
        ({"prompt": turns[:-1], "completion": turns[-1:]} for turns in conversations),
        folder / "train.jsonl",
    )
    return {}


def _write_llama_factory(conversations: Iterable[Turns], folder: Path) -> dict[str, Any]:
    odd = 0
    with (folder / "train.json").open("w", encoding="utf-8") as file:
        for number, turns in enumerate(conversations):
            odd += not _alternates(turns)
            file.write(("[\n" if number == 0 else ",\n") + _json({"messages": turns}))
        file.write("\n]\n" if file.tell() else "[]\n")
    (folder / "dataset_info.json").write_text(json.dumps(LLAMA_FACTORY, indent=2) + "\n")
    return {"llama_factory_will_skip": odd}


def _alternates(turns: Turns) -> bool:
    """LLaMA-Factory skips a conversation whose user and assistant do not take turns."""
    roles = [turn["role"] for turn in turns]
    if roles[:1] == ["system"]:
        roles = roles[1:]
    pairs = len(roles) // 2
    return bool(roles) and roles == ["user", "assistant"] * pairs


def _write_axolotl(conversations: Iterable[Turns], folder: Path) -> dict[str, Any]:
    _write_lines(({"messages": turns} for turns in conversations), folder / "train.jsonl")
    (folder / "dataset.yml").write_text(AXOLOTL)
    return {}


def _write_lines(rows: Iterable[dict[str, Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(_json(row) + "\n" for row in rows)


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False)


LAYOUTS: dict[str, Callable[[Iterable[Turns], Path], dict[str, Any]]] = {
    "trl": _write_trl,
    "llama-factory": _write_llama_factory,
    "axolotl": _write_axolotl,
}
