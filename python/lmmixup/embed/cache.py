"""Vectors kept by content, so that nothing is paid for twice."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import numpy as np
import pyarrow as pa

from lmmixup.errors import FileError
from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmmixup.embed.embedder import Embedder

KEY_BYTES = 16
MAX_PARTS = 64
"""Files of one embedder above which they are merged when the cache is opened."""


class Chunked(Protocol):
    """A costly embedder: hands vectors over while it goes on."""

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""

    def identity(self) -> dict[str, Any]:
        """What the vectors depend on beside the text."""

    def embed_chunks(
        self,
        texts: Sequence[str],
        finished: Callable[[Sequence[int], np.ndarray], None],
        reporter: Reporter,
    ) -> None:
        """Embeds texts and calls `finished(rows, vectors)` for each piece, in any order."""


class VectorCache:
    """A folder of Arrow files with keys and vectors; every file is whole or not there.

    Args:
        folder: Where the vectors of all embedders are kept.
        identity: The embedder's identity; each has a subfolder.
        dim: Dimensions of its vectors.

    Raises:
        FileError: The folder cannot be written.

    Notes:
        Files are memory-mapped: what is held is 100 bytes a text, not its vector. Several
        processes may share a folder. A file that is damaged counts as not there.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], dim: int) -> None:
        text = json.dumps(identity, sort_keys=True)
        self._folder = folder / hashlib.sha256(text.encode()).hexdigest()[:32]
        self._dim = dim
        self._rows: dict[bytes, tuple[np.ndarray, int]] = {}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / "identity.json").write_text(text)
            parts = self._open_parts()
            if len(parts) > MAX_PARTS:
                self._merge(parts)
        except OSError as error:
            raise FileError(
                f"{self._folder}: {error.strerror or error}; name another --cache"
            ) from error

    def __len__(self) -> int:
        return len(self._rows)

    @staticmethod
    def key(text: str) -> bytes:
        """What a text is known by: 16 bytes of BLAKE2b."""
        return hashlib.blake2b(
            text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES
        ).digest()

    def get(self, key: bytes) -> np.ndarray | None:
        """The (D,) vector of a key, where it is known."""
        found = self._rows.get(key)
        return None if found is None else found[0][found[1]]

    def add(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        """Keeps (n, D) vectors; they are on disk when this returns.

        Raises:
            FileError: The folder cannot be written.
        """
        path = self._folder / f"{uuid4().hex}.arrow"
        aside = path.with_suffix(".partial")
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
        columns = {
            "key": pa.array(keys, pa.binary(KEY_BYTES)),
            "vector": pa.FixedSizeListArray.from_arrays(flat, self._dim),
        }
        batch = pa.RecordBatch.from_pydict(columns)
        try:
            with aside.open("wb") as file:
                with pa.ipc.new_file(file, batch.schema) as writer:
                    writer.write_batch(batch)
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise FileError(f"{path}: {error.strerror or error}; name another --cache") from error
        self._open(path)

    def _open_parts(self) -> list[Path]:
        """Opens every file; looks again where another process merged some away meanwhile."""
        while True:
            parts = sorted(self._folder.glob("*.arrow"))
            for part in parts:
                self._open(part)
            if all(part.exists() for part in parts):
                return parts

    def _open(self, path: Path) -> None:
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            batches = table.to_batches()
            for batch in batches:
                vectors = batch.column("vector").flatten().to_numpy().reshape(-1, self._dim)
                keys = batch.column("key").to_pylist()
                self._rows.update((key, (vectors, row)) for row, key in enumerate(keys))
        except (pa.ArrowInvalid, FileNotFoundError, KeyError, ValueError):
            return  # damaged, or merged away by another process: as if it were not there

    def _merge(self, parts: Sequence[Path]) -> None:
        keys = list(self._rows)
        self.add(keys, np.stack([rows[row] for rows, row in self._rows.values()]))
        for part in parts:
            part.unlink(missing_ok=True)


class CachedEmbedder:
    """A costly embedder that asks a cache first and tells it at once what it learned.

    Args:
        inner: Makes the vectors that are not known.
        folder: The cache's folder, or `None` to keep nothing.
        reporter: Is told how many vectors were known.
    """

    def __init__(self, inner: Chunked, folder: Path | None, reporter: Reporter = SILENT) -> None:
        self._inner = inner
        self._folder = folder
        self._cache: VectorCache | None = None
        self._note = reporter
        self.num_reused = 0

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return self._inner.dim

    def identity(self) -> dict[str, Any]:
        """That of the embedder inside."""
        return self._inner.identity()

    def embed(self, texts: pa.Array | pa.ChunkedArray, reporter: Reporter = SILENT) -> np.ndarray:
        """Vectors of (N,) texts: (N, D) float32; equal texts are embedded once."""
        out = np.zeros((len(texts), self.dim), np.float32)
        wanted: dict[bytes, list[int]] = {}
        strings: list[str] = []
        cache = self._open()
        for row, text in enumerate(texts.to_pylist()):
            if not text or text.isspace():
                continue
            key = VectorCache.key(text)
            known = cache.get(key) if cache is not None else None
            if known is not None:
                out[row] = known
                self.num_reused += 1
            elif key in wanted:
                wanted[key].append(row)
            else:
                wanted[key] = [row]
                strings.append(text)
        if self.num_reused:
            self._note.note(f"{self.num_reused:,} vectors come from the cache at {self._folder}")
        keys = list(wanted)

        def finished(indices: Sequence[int], vectors: np.ndarray) -> None:
            for index, vector in zip(indices, vectors, strict=True):
                out[wanted[keys[index]]] = vector
            if cache is not None:
                cache.add([keys[index] for index in indices], vectors)

        if strings:
            self._inner.embed_chunks(strings, finished, reporter)
        return out

    def _open(self) -> VectorCache | None:
        if self._folder is not None and self._cache is None:
            self._cache = VectorCache(self._folder, self.identity(), self.dim)
        return self._cache


def cached(inner: Chunked, where: str, reporter: Reporter = SILENT) -> Embedder:
    """An embedder with the cache that a config's `cache` field names.

    Args:
        inner: The costly embedder.
        where: `auto`, `none` or a folder.
        reporter: Is told how many vectors were known.
    """
    folder = None if where == "none" else default_folder() if where == "auto" else Path(where)
    return CachedEmbedder(inner, folder, reporter)


def default_folder() -> Path:
    """`lmmixup/vectors` in the user's cache folder, as the XDG base directories name it."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lmmixup" / "vectors"
