"""`--update`: new records for a pool that was deduped before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmmixup.dedup.joined import Joined
from lmmixup.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from pydantic import BaseModel

    from lmmixup.dedup.config import DedupConfig
    from lmmixup.pool import Pool
    from lmmixup.stage import InputFile

SAME = ("method", "threshold", "shingle", "shingle_size", "normalize", "embedder", "vector_column")
"""Settings that must be those of the earlier run, since its records are not compared again."""

OWN = ("family", "family_size")


class Grown(Joined):
    """The kept records of an earlier `dedup`, then those of a pool, as one pool.

    Args:
        config: Its `update` names the earlier folder.
        pool: The new records.

    Raises:
        DataError: The folder was not written by `dedup`, or a new id is in it already.
        ArgumentError: The earlier run had other settings.
    """

    def __init__(self, config: DedupConfig, pool: Pool) -> None:
        from lmmixup.pool import open_pool  # noqa: PLC0415

        assert config.update is not None  # noqa: S101 the caller looked
        _check_folder(config.update, config)
        self._old = open_pool([config.update])
        self._new = pool
        super().__init__(self._old, pool, leave_out=OWN)
        before = self._old_columns(["id", *OWN])
        self._family = before["family"].to_numpy().astype(np.int64)
        self._size = before["family_size"].to_numpy().astype(np.int64)
        self._check_ids(before["id"].combine_chunks())

    @property
    def options(self) -> BaseModel:
        """How the new pool's files are read."""
        return self._new.options

    @property
    def rejects(self) -> Any:
        """Those of the new pool."""
        return self._new.rejects

    def inputs(self) -> Sequence[InputFile]:
        """The earlier folder's file, then the new pool's."""
        return [*self._old.inputs(), *self._new.inputs()]

    @property
    def num_kept(self) -> int:
        """Number of records of the earlier run."""
        return len(self._family)

    def families(self) -> npt.NDArray[np.int64]:
        """Family of each earlier record, -1 for the new ones."""
        num_new = sum(batch.num_rows for batch in self._new.batches(["id"]))
        return np.concatenate([self._family, np.full(num_new, -1)])

    def whole_sizes(
        self, family: npt.NDArray[np.uint32], sizes: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Sizes of the families with what the earlier run dropped of them.

        Args:
            family: (N,) family of each record now.
            sizes: (F,) number of records in each family now.
        """
        now = family[: self.num_kept]
        whole = sizes - np.bincount(now, minlength=len(sizes))
        # Each earlier family counts once; all of its records are in one family now.
        _, first = np.unique(self._family, return_index=True)
        np.add.at(whole, now[first], self._size[first])
        return whole

    def _old_columns(self, names: list[str]) -> pa.Table:
        missing = [name for name in names if name not in self._old.schema.names]
        if missing:
            raise DataError(f"--update: expected the columns {names}, got none named {missing}")
        return pa.Table.from_batches(
            self._old.batches(names), pa.schema([self._old.schema.field(name) for name in names])
        )

    def _check_ids(self, known: pa.Array) -> None:
        again, example = 0, ""
        for batch in self._new.batches(["id"]):
            is_known = pc.is_in(batch.column("id"), known)
            if pc.any(is_known).as_py():
                again += pc.sum(is_known).as_py()
                example = example or batch.column("id").filter(is_known)[0].as_py()
        if again:
            raise DataError(
                f"--update: expected new records only, got {again} whose ids are in the deduped "
                f"pool, such as {example!r}; leave them out or pass `--ids content`"
            )


def _check_folder(folder: Path, config: DedupConfig) -> None:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = {}
    if manifest.get("stage") != "dedup" or manifest["config"].get("against") is not None:
        raise DataError(f"--update: expected a folder that `dedup` wrote, got {folder}")
    now = config.model_dump(mode="json")
    for name in SAME:
        # A run before there were embedders had none.
        before = manifest["config"].get(name, type(config).model_fields[name].default)
        if before != now[name]:
            raise ArgumentError(
                f"--update: the earlier run had {name} = {before!r}, got {now[name]!r}; pass the "
                "same or dedup everything anew"
            )
