"""A library on disk: Parquet, `.npy` and a manifest; nothing that runs code when it is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmmixup.embed import read_vectors, record_texts
from lmmixup.embed.embedder import make_embedder
from lmmixup.embed.lexical import LexicalEmbedder
from lmmixup.errors import DataError, FileError, LmmixupError
from lmmixup.library.config import LibraryConfig
from lmmixup.library.known import Contents
from lmmixup.library.scorer import SCORERS
from lmmixup.library.scores import Examples, Scorer, Scores
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lmmixup.embed import Embedder
    from lmmixup.library.known import Known

FORMAT = 2
NORM = "l2"
METRIC = "cosine"
DEFAULT = "default"
"""Name of the library that rates records whose task type has none of its own."""


@dataclass(frozen=True, eq=False)
class Library:
    """Rated records, their vectors and the scorer that was fitted on them.

    Attributes:
        path: The folder.
        config: How it was built.
        ids: (N,) ids of the records.
        identity: What made the vectors.
        scorer: Rates others.
        texts: (N,) what was embedded.
    """

    path: Path
    config: LibraryConfig
    ids: pa.Array
    identity: dict[str, Any]
    scorer: Scorer
    texts: pa.ChunkedArray

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder that made the library, ready for new texts.

        Raises:
            DataError: What is installed now would give other vectors.
        """
        embedder = library_embedder(self.config, self.texts)
        self.check_identity(embedder.identity())
        return embedder

    @cached_property
    def contents(self) -> Contents:
        """Tells which records are in the library themselves."""
        columns = ["prompt", "completion"]
        return Contents(pq.read_table(self.path / "data.parquet", columns=columns))

    @property
    def ratings_N(self) -> NDArray[np.int64]:  # noqa: N802
        """(N,) ratings of the records, 0..5."""
        return self.scorer.examples.ratings_N

    def digest(self) -> str:
        """SHA-256 of its manifest, which holds the digests of all its files."""
        return file_sha256(self.path / "manifest.json")

    def check_identity(self, identity: dict[str, Any]) -> None:
        """Refuses vectors of another origin.

        Raises:
            DataError: They were made otherwise than the library's; says where they differ.
        """
        if identity == self.identity:
            return
        names = sorted({*identity, *self.identity})
        differing = [name for name in names if identity.get(name) != self.identity.get(name)]
        parts = [f"{n} {self.identity.get(n)!r}, got {identity.get(n)!r}" for n in differing]
        raise DataError(
            f"{self.path}: vectors must be made as the library's were; expected {'; '.join(parts)}"
        )

    def score(
        self,
        vectors_QD: NDArray[np.float32],
        num_bytes_Q2: NDArray[np.int64],
        *,
        known: Known | None = None,
        num_threads: int = 0,
        reporter: Reporter = SILENT,
    ) -> Scores:
        """Rates records.

        Args:
            vectors_QD: (Q, D) float32 from this library's embedder.
            num_bytes_Q2: (Q, 2) as `text_bytes` counts them.
            known: Which of them are in the library; they are rated by the others, as
                `library report` does. `None` lets them see themselves.
            num_threads: 0 takes all cores.
            reporter: Where progress goes.

        Raises:
            DataError: Another dimension, or vectors that are not finite.
        """
        dim = int(self.identity["dim"])
        if vectors_QD.ndim != 2 or vectors_QD.shape[1] != dim:
            raise DataError(
                f"{self.path}: expected vectors of {dim} dimensions, got shape {vectors_QD.shape}"
            )
        return self.scorer.score(
            vectors_QD, num_bytes_Q2, known=known, num_threads=num_threads, reporter=reporter
        )


class Libraries:
    """One library for all records, or one for each task type.

    Args:
        by_task_type: Libraries by task type; `default` rates all others.
    """

    def __init__(self, by_task_type: dict[str, Library]) -> None:
        self.by_task_type = by_task_type

    def get(self, task_type: str | None) -> Library | None:
        """The library for a task type, or `None`."""
        return self.by_task_type.get(task_type or DEFAULT) or self.by_task_type.get(DEFAULT)

    def __iter__(self) -> Iterator[tuple[str, Library]]:
        return iter(self.by_task_type.items())


def library_texts(records: pa.Table | pa.RecordBatch, config: LibraryConfig) -> pa.ChunkedArray:
    """What is embedded of each record.

    Args:
        records: Records with `prompt` and `completion`.
        config: Says which text.

    Returns:
        (N,) strings.
    """
    if config.text == "record":
        return record_texts(records)
    return records.column("completion").fill_null("")


def text_bytes(records: pa.Table | pa.RecordBatch, config: LibraryConfig) -> NDArray[np.int64]:
    """UTF-8 bytes of prompt and completion: (N, 2) int64; the prompt is 0 where it does not count.

    Args:
        records: Records with `prompt` and `completion`.
        config: Says which text counts.
    """
    out = np.zeros((len(records), 2), np.int64)
    for at, name in enumerate(("prompt", "completion")):
        if name == "completion" or config.text == "record":
            lengths = pc.binary_length(records.column(name)).fill_null(0)
            out[:, at] = lengths.to_numpy(zero_copy_only=False) if len(out) else 0
    return out


def library_embedder(
    config: LibraryConfig,
    texts: pa.ChunkedArray | pa.Array,
    *,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> Embedder:
    """The embedder of a library; a lexical one counts the library's own words."""
    embedder = make_embedder(config.embed_config(), num_threads=num_threads, reporter=reporter)
    if isinstance(embedder, LexicalEmbedder):
        embedder.count(texts, reporter)
    return embedder


def describe(config: LibraryConfig, identity: dict[str, Any], scorer: Scorer) -> dict[str, Any]:
    """What `open_library` reads from the manifest's figures."""
    return {
        "library_format": FORMAT,
        "norm": NORM,
        "metric": METRIC,
        "identity": identity,
        "fitted": scorer.to_dict(),
        "scorer": config.scorer,
    }


def open_library(path: str | Path) -> Library:
    """Opens a library that `lmmixup library build` made.

    Args:
        path: Its folder.

    Raises:
        FileError: It is no such folder.
        DataError: Its files do not fit one another, or it has another norm or metric.

    Source:
        Ours; METHOD §10.9.
    """
    path = Path(path)
    manifest = _manifest(path)
    figures = manifest["figures"]
    for name, expected in (("library_format", FORMAT), ("norm", NORM), ("metric", METRIC)):
        if figures.get(name) != expected:
            raise DataError(
                f"{path}: expected {name} {expected!r}, got {figures.get(name)!r}; build it again"
            )
    try:
        return _opened(path, LibraryConfig(**manifest["config"]), figures)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        if isinstance(error, LmmixupError):
            raise
        raise FileError(
            f"{path}: expected the files of a library, got {type(error).__name__}: {error}; build "
            "it again"
        ) from None


def _opened(path: Path, config: LibraryConfig, figures: dict[str, Any]) -> Library:
    stored = _read(path, config)
    identity = figures["identity"]
    if stored.vectors_ND.shape[1] != identity["dim"]:
        raise DataError(
            f"{path}: vectors.npy has {stored.vectors_ND.shape[1]} dimensions, but the manifest "
            f"says {identity['dim']}"
        )
    records = pq.read_table(path / "data.parquet", columns=["id", "prompt", "completion"])
    arrays = {
        name: np.load(path / name, allow_pickle=False)
        for name in ("head.npy", "residuals.npy")
        if (path / name).exists()
    }
    scorer = SCORERS[config.scorer].restore(stored, config.neighbours, figures["fitted"], arrays)
    ids = records.column("id").combine_chunks()
    return Library(path, config, ids, identity, scorer, library_texts(records, config))


def open_libraries(path: str | Path) -> Libraries:
    """Opens one library for all, or a folder with one for each task type (`qa/`, …).

    Args:
        path: The folder; a library named `default` in it rates all other task types.

    Raises:
        FileError: There is no library.
    """
    path = Path(path)
    if (path / "manifest.json").exists():
        return Libraries({DEFAULT: open_library(path)})
    found = sorted(folder.parent for folder in path.glob("*/manifest.json"))
    if not found:
        raise FileError(
            f"{path}: expected a library or a folder of libraries; hint: make one with "
            "`lmmixup library build POOL -o DIR --rating COLUMN`"
        )
    return Libraries({folder.name: open_library(folder) for folder in found})


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((path / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: expected a library of `lmmixup library build`: {error}") from None
    if manifest.get("stage") != "library":
        raise FileError(
            f"{path}: expected a library of `lmmixup library build`, got a result of "
            f"{manifest.get('stage')!r}"
        )
    return manifest


def _read(path: Path, config: LibraryConfig) -> Examples:
    vectors_ND = read_vectors(path).vectors_ND
    if not np.isfinite(vectors_ND).all():
        row = int(np.argmax(~np.isfinite(vectors_ND).all(axis=1)))
        raise DataError(f"{path}: vectors.npy: row {row} has NaN or infinity")
    columns = ["prompt", "completion", config.rating]
    records = pq.read_table(path / "data.parquet", columns=columns)
    if len(records) != len(vectors_ND):
        raise DataError(
            f"{path}: vectors.npy has {len(vectors_ND):,} vectors, but data.parquet has "
            f"{len(records):,} records"
        )
    ratings_N = records.column(config.rating).to_numpy().astype(np.int64)
    return Examples(vectors_ND, text_bytes(records, config), ratings_N)
