"""Neighbours in a library that is built once and asked often."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from lmmixup import _rust
from lmmixup.errors import ArgumentError, DataError, FileError, OutputExistsError
from lmmixup.ops.checks import check_least, check_vectors
from lmmixup.ops.knn import Neighbours, measure_recall

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from lmmixup.ops import OnProgress

FORMAT = 1
"""Raised when older files cannot be read any more."""

SUFFIX = ".json"
"""What the name of the description adds to that of the index."""


@dataclass(frozen=True)
class IndexInfo:
    """What an index is of; stands beside it as JSON.

    Attributes:
        format: `FORMAT` of the release that wrote it.
        count: Vectors.
        dim: Dimensions.
        metric: Always `cos`.
        norm: How rows are stored: `unit`, of length 1, or `row-step`, each scaled to 8 bits.
        dtype: `f32`, `f16` or `i8`.
        connectivity: Links of a vector; twice as many on the lowest level.
        expansion: Candidates that were looked at for its links.
        reproducible: Whether one thread built it, so that the same vectors give the same file.
        embedder: Identity of what made the vectors; `None` where nobody said.
    """

    format: int
    count: int
    dim: int
    metric: str
    norm: str
    dtype: Literal["f32", "f16", "i8"]
    connectivity: int
    expansion: int
    reproducible: bool
    embedder: dict[str, Any] | None


class Index:
    """A library of vectors and a graph of near ones (HNSW), in memory or memory-mapped.

    Made by `build` or `open`.

    Attributes:
        info: What it is of.

    Notes:
        Finds most of the nearest, not all: `search` measures how many where asked to. A graph
        that several threads build depends on their timing; one thread builds it unless
        `reproducible=False` says otherwise, and `info` tells which it was.

    Source:
        Malkov and Yashunin 2016, by usearch; distances by our kernels.

    Example:
        >>> import numpy as np
        >>> from lmmixup import ops
        >>> index = ops.Index.build(np.eye(3, dtype=np.float32))
        >>> index.search(np.array([[0, 2, 1]], np.float32), k=2).idx_QK.tolist()
        [[1, 2]]
    """

    def __init__(
        self, graph: _rust.Index, info: IndexInfo, vectors_ND: npt.NDArray[np.float32] | None
    ) -> None:
        self._graph = graph
        self._vectors_ND = vectors_ND
        self.info = info

    def __len__(self) -> int:
        return self.info.count

    @classmethod
    def build(
        cls,
        vectors_ND: npt.NDArray[np.float32],
        *,
        dtype: Literal["f32", "f16", "i8"] = "f16",
        embedder: Mapping[str, Any] | None = None,
        connectivity: int = 16,
        expansion: int = 128,
        reproducible: bool = True,
        num_threads: int = 0,
        on_progress: OnProgress | None = None,
    ) -> Self:
        """Builds an index.

        Args:
            vectors_ND: (N, D) float32, C-contiguous, finite, of any length; kept, so that
                `search` gives exact cosines.
            dtype: How values are stored; `f16` is half of `f32` and finds the same, `i8` a
                quarter.
            embedder: Identity of what made the vectors, as embeddings have it.
            connectivity: Links of a vector, at least 2. More: higher recall, larger, slower.
            expansion: Candidates that are looked at for them. More: higher recall, slower.
            reproducible: One thread builds, and the same vectors give the same bytes. Without,
                all threads do, and each build is another graph of the same quality.
            num_threads: Threads where it need not be reproducible; 0 takes all cores.
            on_progress: Called with phase, units done and total, ten times a second.

        Returns:
            The index.

        Raises:
            DataError: Vectors of another type, shape or layout, or NaN (names the row).
            ArgumentError: An option is out of range.

        Notes:
            O(N log N expansion D). Rows of zeros are in no graph; they have cosine 0.
        """
        check_vectors("vectors", vectors_ND)
        check_least(2, connectivity=connectivity)
        check_least(1, expansion=expansion)
        check_least(0, num_threads=num_threads)
        graph = _rust.Index.build(
            vectors_ND,
            dtype=dtype,
            connectivity=connectivity,
            expansion=expansion,
            reproducible=reproducible,
            num_threads=num_threads,
            on_progress=on_progress,
        )
        info = IndexInfo(
            format=FORMAT,
            count=len(vectors_ND),
            dim=vectors_ND.shape[1],
            metric="cos",
            norm="row-step" if dtype == "i8" else "unit",
            dtype=dtype,
            connectivity=connectivity,
            expansion=expansion,
            reproducible=reproducible,
            embedder=None if embedder is None else dict(embedder),
        )
        return cls(graph, info, vectors_ND)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Writes the index and, beside it, `PATH.json` with its description and digest.

        Args:
            path: File to make.
            overwrite: Replace a file that exists.

        Raises:
            OutputExistsError: The file exists and `overwrite` is false.
            FileError: It cannot be written.
        """
        from lmmixup.stage import file_sha256  # noqa: PLC0415

        path = Path(path)
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists already; name another or pass overwrite=True")
        partial, description = (path.with_name(f".{path.name}.{part}") for part in ("part", "json"))
        if not path.parent.is_dir():
            raise FileError(f"{path}: {path.parent} is no folder")
        try:
            self._graph.save(partial)
            digest = {"num_bytes": partial.stat().st_size, "sha256": file_sha256(partial)}
            text = json.dumps(asdict(self.info) | digest, indent=2)
            description.write_text(text + "\n", encoding="utf-8")
            partial.replace(path)
            description.replace(_description(path))
        except OSError as error:
            raise FileError(f"{path}: {error.strerror or error}") from error
        finally:
            partial.unlink(missing_ok=True)
            description.unlink(missing_ok=True)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        embedder: Mapping[str, Any] | None = None,
        vectors_ND: npt.NDArray[np.float32] | None = None,
        verify: bool = True,
    ) -> Self:
        """Opens a saved index memory-mapped.

        Args:
            path: The file; its description must be beside it.
            embedder: Identity that the queries will have; another one is refused.
            vectors_ND: The vectors that it was built of, for exact cosines; may be a
                memory-mapped `.npy` file.
            verify: Read the whole file once and compare its digest. Without, only its size is
                compared: a file that was changed in place may then crash the process.

        Returns:
            The index.

        Raises:
            FileError: A file is missing or cannot be read.
            DataError: It is no index, of another format, changed since it was written, of
                another embedder, or not of these vectors.
        """
        path = Path(path)
        info = _read_info(path, verify=verify)
        if embedder is not None and info.embedder != dict(embedder):
            raise DataError(
                f"{path}: expected vectors of {dict(embedder)}, the index has those of "
                f"{info.embedder}; embed the queries as the library was"
            )
        if vectors_ND is not None:
            check_vectors("vectors", vectors_ND)
            if vectors_ND.shape != (info.count, info.dim):
                raise DataError(
                    f"{path}: expected the {info.count} x {info.dim} vectors of the index, got "
                    f"{vectors_ND.shape[0]} x {vectors_ND.shape[1]}"
                )
        graph = _rust.Index.view(path, info.count, info.dim, info.dtype)
        return cls(graph, info, vectors_ND)

    def search(
        self,
        queries_QD: npt.NDArray[np.float32],
        k: int,
        *,
        expansion: int = 128,
        recall_sample: int = 0,
        seed: int = 0,
        num_threads: int = 0,
        on_progress: OnProgress | None = None,
    ) -> Neighbours:
        """The `k` nearest of each query, most of them.

        Args:
            queries_QD: (Q, D) float32, C-contiguous, finite.
            k: Neighbours of each, at least 1; may exceed the library.
            expansion: Candidates that are kept on the way, at least `k` in effect. More:
                higher recall, more time. Queries of another kind than the library need
                some four times as many.
            recall_sample: Queries on which the recall is measured; needs the vectors.
            seed: Of that sample.
            num_threads: 0 takes all cores.
            on_progress: Called with phase, units done and total, ten times a second.

        Returns:
            The neighbours. Where the vectors are at hand, cosines are computed from them as
            `knn` does; else they are as exact as the storage (`f16` 1e-3, `i8` 2e-2).

        Raises:
            DataError: Another type, shape, layout or dimension, NaN (names the row), or vectors
                that are not those of the index.
            ArgumentError: An option is out of range.

        Notes:
            O(Q log N expansion D) about. Same result at any number of threads.
        """
        check_vectors("queries", queries_QD)
        check_least(1, k=k, expansion=expansion)
        check_least(0, recall_sample=recall_sample, num_threads=num_threads)
        if recall_sample and self._vectors_ND is None:
            raise ArgumentError("recall_sample needs the vectors; pass them to Index.open")
        idx_QK, sim_QK = self._graph.search(
            queries_QD,
            k,
            expansion=expansion,
            vectors=self._vectors_ND,
            itself=False,
            num_threads=num_threads,
            on_progress=on_progress,
        )
        recall, num_sampled = None, 0
        if recall_sample and self._vectors_ND is not None:
            recall, num_sampled = measure_recall(
                self._vectors_ND,
                queries_QD,
                sim_QK,
                sample=recall_sample,
                seed=seed,
                num_threads=num_threads,
                on_progress=on_progress,
            )
        return Neighbours(idx_QK, sim_QK, "usearch", recall, num_sampled)


def _description(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _read_info(path: Path, *, verify: bool) -> IndexInfo:
    """What the description says, once the file is what it says."""
    from lmmixup.stage import file_sha256  # noqa: PLC0415

    beside = _description(path)
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))
        num_bytes = path.stat().st_size
    except OSError as error:
        raise FileError(f"{error.filename}: {error.strerror}; expected an index") from error
    except ValueError as error:
        raise DataError(f"{beside}: expected the description of an index: {error}") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        found = told.get("format") if isinstance(told, dict) else told
        raise DataError(f"{beside}: expected an index of format {FORMAT}, got {found!r}")
    expected = told.pop("num_bytes", None), told.pop("sha256", None)
    if num_bytes != expected[0]:
        raise DataError(f"{path}: expected {expected[0]} bytes, got {num_bytes}; build it anew")
    if verify and file_sha256(path) != expected[1]:
        raise DataError(f"{path}: its bytes are not those that were written; build it anew")
    try:
        return IndexInfo(**told)
    except TypeError as error:
        raise DataError(f"{beside}: expected the description of an index: {error}") from error
