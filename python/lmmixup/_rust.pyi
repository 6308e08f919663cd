from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
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
