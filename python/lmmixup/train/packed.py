"""Rows that `lmmixup tokenize` packed, used as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
from pydantic import BaseModel

from lmmixup.errors import ArgumentError, DataError, FileError
from lmmixup.stage import InputFile, file_sha256
from lmmixup.tokenize.files import find_files
from lmmixup.train.config import SftConfig
from lmmixup.train.mixture import MixtureFolder
from lmmixup.train.model import is_gguf
from lmmixup.train.rows import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lmmixup.stage import Reject
    from lmmixup.train.config import TrainConfig

_NUM_PROBES = 8
"""Rows that are decoded and encoded again; one that comes back as it was is enough."""

_CUT = 4
"""Ids at the end of a sample that are not compared."""


class PackedOptions(BaseModel):
    """How packed rows were read: there is only one way."""

    part: str = "packed"


class PackedRows(Kept):
    """Packed rows, which stay on disk.

    Args:
        dataset: Columns `input_ids`, `labels`, `seq_lengths`, `row`.
        longest: Tokens of the longest sample.
    """

    def __init__(self, dataset: Any, longest: int) -> None:
        ids = [f"row {row}" for row in range(len(dataset))]
        super().__init__(rows=dataset, ids=ids, longest=longest)

    def dataset(self) -> Any:
        """The rows as a data set of `datasets`."""
        return self.rows


class PackedFolder:
    """A folder of `lmmixup tokenize`: each row holds several samples, one after another.

    Args:
        path: The folder.

    Raises:
        FileError: It has no manifest of `lmmixup tokenize`.
    """

    kind = "sft"
    rejects: Iterable[Reject] = ()

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.options = PackedOptions()
        self._manifest = _manifest(self.path)
        self.num_samples = int(self._manifest["figures"]["rows"])

    def inputs(self) -> Sequence[InputFile]:
        """The shards with their digests.

        Raises:
            DataError: A shard is not the one that was written.
        """
        outputs = self._manifest["outputs"]
        return [
            self._shard(name, said["sha256"])
            for name, said in sorted(outputs.items())
            if name.endswith(".arrow")
        ]

    def _shard(self, name: str, expected: str) -> InputFile:
        file = self.path / name
        if not file.is_file() or file_sha256(file) != expected:
            raise DataError(
                f"{file}: is not the shard that the manifest beside it tells of; hint: make the "
                "folder anew with `lmmixup tokenize`"
            )
        return InputFile(str(file), expected, file.stat().st_size)

    def kept(self, tokenizer: Any, config: TrainConfig) -> PackedRows:
        """The rows to train on, memory-mapped.

        Args:
            tokenizer: One of transformers.
            config: `model`, `max_sequence_tokens`, `limit`.

        Raises:
            DataError: The tokenizer or chat template of the model is not the one that packed, or
                rows are longer than `max_sequence_tokens`.
        """
        from datasets import load_from_disk  # noqa: PLC0415

        assert isinstance(config, SftConfig)  # noqa: S101
        self._check_tokenizer(config.model)
        dataset = load_from_disk(str(self.path))
        self._check_ids(dataset, tokenizer)
        if config.limit is not None:
            dataset = dataset.select(range(min(config.limit, len(dataset))))
        table = dataset.data
        longest_row = pc.max(pc.list_value_length(table["input_ids"])).as_py()
        if longest_row > config.max_sequence_tokens:
            raise DataError(
                f"{self.path}: its rows have up to {longest_row:,} tokens, at most "
                f"{config.max_sequence_tokens:,} are allowed; hint: --max-sequence-tokens "
                f"{longest_row}"
            )
        longest = pc.max(pc.list_flatten(table["seq_lengths"])).as_py()
        return PackedRows(dataset.add_column("row", list(range(len(dataset)))), longest)

    def validation(self, tokenizer: Any, config: TrainConfig) -> Kept:  # noqa: ARG002
        """Raises `ArgumentError`: packed rows have no part for it."""
        raise ArgumentError(
            f"{self.path}: packed rows have no validation part; hint: leave --eval-every out, or "
            "train on the MIXTURE folder"
        )

    def _check_tokenizer(self, model: str) -> None:
        if is_gguf(model):
            raise ArgumentError(
                f"{model}: a .gguf file has no tokenizer.json to compare with {self.path}; hint: "
                "save the model as a folder of transformers"
            )
        from transformers.utils import cached_file  # noqa: PLC0415

        file = cached_file(model, "tokenizer.json")
        ours = find_files(Path(file).parent).digests()
        for what, digest in ours.items():
            packed = self._manifest["figures"].get(what)
            if packed != digest:
                name = what.removesuffix("_sha256")
                raise DataError(
                    f"{self.path}: was packed with another {name} than that of {model} (sha256 "
                    f"{str(packed)[:12]}, here {digest[:12]}); hint: make it anew with `lmmixup "
                    f"tokenize --tokenizer {model}`"
                )

    def _check_ids(self, dataset: Any, tokenizer: Any) -> None:
        """Some families of transformers cut words in a way of their own, whatever the file says."""
        for row in dataset.select(range(min(_NUM_PROBES, len(dataset)))):
            ids = row["input_ids"][: row["seq_lengths"][0]]
            again = tokenizer(tokenizer.decode(ids), add_special_tokens=False)["input_ids"]
            # The end may be cut, and a text that was cut in front has another beginning.
            if again[:-_CUT] == ids[: len(again)][:-_CUT]:
                return
        raise DataError(
            f"{self.path}: the tokenizer that transformers makes of the model writes other ids "
            "than its tokenizer.json; hint: pack with the tokenizer.json that transformers saves"
        )


Data = MixtureFolder | PackedFolder
"""What a training takes."""


def open_data(path: str | Path, kind: str) -> Data:
    """Opens what `--data` names.

    Args:
        path: A MIXTURE folder or one of its files; for `sft` also a folder of `lmmixup tokenize`.
        kind: `sft` or `grpo`.

    Raises:
        FileError: There is no such folder.
        ArgumentError: `grpo` cannot train on packed rows.
    """
    if not (Path(path) / "state.json").is_file():
        return MixtureFolder(path, kind)
    if kind != "sft":
        raise ArgumentError(
            f"{path}: GRPO asks the model anew, so it needs a MIXTURE folder, not packed rows"
        )
    return PackedFolder(path)


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError):
        manifest = {}
    if manifest.get("stage") != "tokenize" or "rows" not in manifest["figures"]:
        raise FileError(
            f"{folder}: has packed rows, but no manifest of `lmmixup tokenize` that says by which "
            "tokenizer"
        )
    return manifest
