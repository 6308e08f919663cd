__version__: str

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_OnProgress = Callable[[str, int, int], None] | None
_Families = tuple[
    npt.NDArray[np.uint32],
    npt.NDArray[np.bool_],
    npt.NDArray[np.int32],
    npt.NDArray[np.float64],
    npt.NDArray[np.bool_],
    int,
]
_Matches = tuple[
    npt.NDArray[np.int32],
    npt.NDArray[np.float64],
    npt.NDArray[np.int32],
    npt.NDArray[np.float64],
]

class TextPool:
    def __init__(self, unit: str, num_tokens: int, normalize: str) -> None: ...
    def push(self, batch: pa.RecordBatch, num_threads: int) -> None: ...
    def seal(self) -> None: ...
    def __len__(self) -> int: ...

class ExactPool:
    def __init__(self, normalize: str) -> None: ...
    def push(self, batch: pa.RecordBatch, num_threads: int) -> None: ...
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
def matches(
    texts: TextPool, num_other: int, num_threads: int, on_progress: _OnProgress
) -> tuple[_Matches, _Matches]: ...
