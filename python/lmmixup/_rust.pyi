from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Self, TypeAlias, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numpy.typing import NDArray

__version__: str

# pool
def pool_sniff(path: str) -> tuple[str, str]: ...
def pool_columns(
    path: str,
    format: str,
    max_bytes: int,
    head_only: bool,
    num_threads: int,
    on_progress: Callable[[str, int, int], Any] | None = None,
) -> tuple[list[tuple[str, int, int]], int]: ...
def pool_schema_columns(schema: pa.Schema) -> list[tuple[str, int, int]]: ...
def pool_column_type(kinds: int) -> str: ...
def pool_canonicalise(
    batch: pa.RecordBatch, plan: PoolPlan, ids: PoolIds, first_row: int
) -> tuple[Any, list[tuple[int, str, str, str, str, str]]]: ...
def pool_sample_keys(ids: pa.Array, seed: int) -> NDArray[np.uint64]: ...
def pool_text_keys(prompt: pa.Array, completion: pa.Array) -> NDArray[np.uint64]: ...
def pool_prompt_completion(turns: Sequence[tuple[str, str]]) -> tuple[str, str] | None: ...

@final
class PoolMapping:
    def __new__(
        cls,
        columns: list[tuple[str, int, int]],
        schema: str | None,
        named: list[tuple[str, list[str]]],
        ids: str,
    ) -> PoolMapping: ...
    @property
    def schema(self) -> str: ...
    @property
    def roles(self) -> list[tuple[str, str]]: ...
    @property
    def positions(self) -> tuple[int, int, int, int]: ...

@final
class PoolIds:
    def __new__(cls) -> PoolIds: ...

@final
class PoolPlan:
    def __new__(
        cls,
        mapping: PoolMapping,
        canonical: list[str],
        originals: list[tuple[str, str, str]],
        source: str,
        fixed_source: bool,
        max_bytes: int,
    ) -> PoolPlan: ...

@final
class PoolReader:
    def __new__(
        cls, path: str, format: str, plan: PoolPlan, ids: PoolIds, num_threads: int
    ) -> PoolReader: ...
    def next_batch(self) -> tuple[Any, list[tuple[int, str, str, str, str, str]]] | None: ...
    def close(self) -> None: ...

_OnProgress: TypeAlias = Callable[[str, int, int], None] | None
_Families: TypeAlias = tuple[
    npt.NDArray[np.uint32],
    npt.NDArray[np.bool_],
    npt.NDArray[np.int32],
    npt.NDArray[np.float64],
    npt.NDArray[np.bool_],
    int,
]
_Matches: TypeAlias = tuple[
    npt.NDArray[np.int32],
    npt.NDArray[np.float64],
    npt.NDArray[np.int32],
    npt.NDArray[np.float64],
]

@final
class TextPool:
    def __new__(cls, unit: str, num_tokens: int, normalize: str) -> Self: ...
    def push(self, batch: pa.RecordBatch, num_threads: int) -> None: ...
    def read(
        self, reader: PoolReader, on_progress: _OnProgress = None
    ) -> list[tuple[int, str, str, str, str, str]] | None: ...
    def seal(self) -> None: ...
    def __len__(self) -> int: ...

@final
class ExactPool:
    def __new__(cls, normalize: str, lengths: bool = False) -> Self: ...
    def push(self, batch: pa.RecordBatch, num_threads: int) -> None: ...
    def read(
        self, reader: PoolReader, on_progress: _OnProgress = None
    ) -> list[tuple[int, str, str, str, str, str]] | None: ...
    def families(self, rule: dict[str, Any], num_threads: int) -> _Families: ...
    def __len__(self) -> int: ...

def near_families(
    pool: TextPool,
    threshold: float,
    rule: dict[str, Any],
    earlier: npt.NDArray[np.int64] | None,
    num_threads: int,
    on_progress: _OnProgress,
) -> tuple[_Families, tuple[int, int, int]]: ...
def minhash_families(
    pool: TextPool,
    threshold: float,
    options: dict[str, Any],
    rule: dict[str, Any],
    earlier: npt.NDArray[np.int64] | None,
    num_threads: int,
    on_progress: _OnProgress,
) -> _Families: ...
def semantic_families(
    pool: ExactPool,
    vectors: npt.NDArray[np.float32],
    threshold: float,
    blocks: dict[str, int] | None,
    rule: dict[str, Any],
    earlier: npt.NDArray[np.int64] | None,
    num_threads: int,
    on_progress: _OnProgress,
) -> tuple[_Families, tuple[int, int, int] | None]: ...
def matches(
    texts: TextPool, num_other: int, num_threads: int, on_progress: _OnProgress
) -> tuple[_Matches, _Matches]: ...

# embed
@final
class Lexical:
    def __new__(cls, dim: int = 256, **weights: float) -> Lexical: ...
    @property
    def num_records(self) -> int: ...
    def digest(self) -> str: ...
    def count(self, texts: Any, num_threads: int = 0, on_progress: Any = None) -> None: ...
    def embed(
        self, texts: Any, num_threads: int = 0, on_progress: Any = None
    ) -> NDArray[np.float32]: ...

@final
class StaticModel:
    def __new__(
        cls,
        tokenizer: str | PathLike[str],
        weights: str | PathLike[str],
        max_text_tokens: int | None = None,
        drop_unknown: bool = False,
    ) -> StaticModel: ...
    @property
    def dim(self) -> int: ...
    def embed(
        self, texts: Any, num_threads: int = 0, on_progress: Any = None
    ) -> NDArray[np.float32]: ...
    def tokenize(self, text: str) -> NDArray[np.uint32]: ...

def knn_exact(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32] | None,
    k: int,
    *,
    num_threads: int = 0,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...

@final
class KnnPrepared:
    def __new__(cls, vectors: NDArray[np.float32], num_threads: int = 0) -> KnnPrepared: ...
    def nearest(
        self,
        vectors: NDArray[np.float32],
        queries: NDArray[np.float32],
        k: int,
        *,
        num_threads: int = 0,
        on_progress: Callable[[str, int, int], None] | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...

def knn_blocks(
    vectors: NDArray[np.float32],
    k: int,
    *,
    cell_size: int,
    overlap: int,
    seed: int,
    num_threads: int = 0,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
def knn_recall(
    vectors: NDArray[np.float32],
    similarities: NDArray[np.float32],
    *,
    sample: int,
    seed: int,
    num_threads: int = 0,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> tuple[float, int]: ...
def knn_instruction_set() -> str: ...

@final
class Index:
    @staticmethod
    def build(
        vectors: NDArray[np.float32],
        *,
        dtype: str,
        connectivity: int,
        expansion: int,
        reproducible: bool,
        num_threads: int = 0,
        on_progress: Callable[[str, int, int], None] | None = None,
    ) -> Index: ...
    @staticmethod
    def view(path: str | PathLike[str], num_rows: int, dim: int, dtype: str) -> Index: ...
    def save(self, path: str | PathLike[str]) -> None: ...
    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        expansion: int,
        vectors: NDArray[np.float32] | None,
        itself: bool,
        num_threads: int = 0,
        on_progress: Callable[[str, int, int], None] | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]: ...
    def __len__(self) -> int: ...

# cluster
def most_partitionable(num_records: int, bounds: tuple[int, int]) -> int: ...
def draw_sizes(
    num_records: int, bounds: tuple[int, int], mean: float, std: float, seed: int
) -> NDArray[np.uint32]: ...
def cluster_graph(
    vectors: NDArray[np.float32],
    indices: NDArray[np.int32],
    similarities: NDArray[np.float32],
    *,
    bounds: tuple[int, int],
    mean: float,
    sizes: NDArray[np.uint32] | None = None,
    min_similarity: float | None = None,
    tokens: NDArray[np.uint32] | None = None,
    max_cluster_tokens: int | None = None,
    allow_leftover: bool = False,
    seed: int = 0,
    max_rounds: int = 100,
    num_threads: int = 0,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]: ...
def cluster_paper(
    vectors: NDArray[np.float32],
    *,
    bounds: tuple[int, int],
    sizes: NDArray[np.uint32],
    tokens: NDArray[np.uint32] | None = None,
    max_cluster_tokens: int | None = None,
    epochs: int = 3,
    seed: int = 0,
    num_threads: int = 0,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]: ...
def cluster_mergeit(
    vectors: NDArray[np.float32],
    reduced: NDArray[np.float32] | None = None,
    *,
    bounds: tuple[int, int],
    similarity: float = 0.8,
    keep: float = 1.0,
    num_topics: int = 0,
    tokens: NDArray[np.uint32] | None = None,
    max_cluster_tokens: int | None = None,
    seed: int = 0,
    num_threads: int = 0,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]: ...
def cluster_quality(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int32],
    indices: NDArray[np.int32] | None = None,
    similarities: NDArray[np.float32] | None = None,
    *,
    num_threads: int = 0,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]: ...

# tokenize
def tokenizer_identity(path: str | PathLike[str]) -> bytes: ...

@final
class Encoder:
    def __new__(cls, path: str | PathLike[str]) -> Encoder: ...
    @property
    def path(self) -> str: ...
    def encode_batch(
        self,
        texts: pa.Array,
        specials: bool,
        num_threads: int,
        on_progress: Callable[[str, int, int], Any] | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]: ...

@final
class ChatEncoder:
    def __new__(
        cls,
        tokenizer: str | PathLike[str],
        template: str,
        variables: dict[str, str],
        special_in_text: str,
        specialises: bool,
    ) -> ChatEncoder: ...

@final
class ChatPool:
    def __new__(
        cls,
        encoder: ChatEncoder,
        max_row_tokens: int,
        truncate: bool,
        window: int,
        path: str | PathLike[str],
    ) -> ChatPool: ...
    def rows(
        self, packing: str, capacity: int, positions: bool, rows_per_batch: int
    ) -> PackedRows: ...
    def finish(self) -> None: ...
    def stop(self) -> None: ...
    def push(self, batch: pa.RecordBatch, num_threads: int) -> None: ...
    def read(
        self, reader: PoolReader, on_progress: Callable[[str, int, int], Any] | None = None
    ) -> list[tuple[int, str, str, str, str, str]] | None: ...
    def __len__(self) -> int: ...
    @property
    def num_kept(self) -> int: ...
    @property
    def num_tokens(self) -> int: ...
    @property
    def longest(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def paths(self) -> tuple[int, int, int]: ...
    @property
    def totals(self) -> tuple[int, int, int]: ...
    def histogram(self) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]: ...
    def dropped(self) -> list[tuple[str, Any]]: ...

@final
class PackedRows:
    def next_batch(self, make: bool) -> tuple[int, int, Any] | None: ...
    @property
    def is_broken(self) -> bool: ...
    def close(self) -> None: ...

def pack_best_fit(
    lengths: NDArray[np.uint32], capacity: int, window: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]: ...
def extract(
    prompts: pa.Array,
    completions: pa.Array,
    indptr: NDArray[np.int64],
    max_output_tokens: int,
    num_threads: int,
    on_progress: Callable[[str, int, int], Any] | None = None,
) -> tuple[
    list[str],
    list[str],
    NDArray[np.int64],
    NDArray[np.uint8],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.int64],
]: ...

@final
class Faithfulness:
    def __new__(
        cls,
        *,
        function_words: set[str],
        no_names: set[str],
        common_endings: list[str],
        before_verbs: set[str],
        subject_verbs: set[str],
        units: dict[str, int],
        scales: dict[str, int],
        weak_numbers: set[str],
    ) -> Faithfulness: ...
    def check(
        self,
        made: pa.Array,
        sources: pa.Array,
        indptr: NDArray[np.int64],
        num_threads: int,
        on_progress: Callable[[str, int, int], Any] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.uint8], list[str]]: ...
