"""Turn a large, noisy instruction pool into a small set that trains a better model.

Each stage is a module with a config class and a function `run`; `lmmixup.dedup.run(...)` is
`lmmixup dedup ...` of the command line. `lmmixup.deduplicate` and `lmmixup.cluster_vectors` do the
same to what is in memory. Modules are imported when they are first named.

Example:
    >>> import lmmixup
    >>> lmmixup.cluster.ClusterConfig(min=2, max=5, mean=3).max
    5
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmmixup import cluster as cluster
    from lmmixup import (
        contract,
        curate,
        dedup,
        distill,
        embed,
        errors,
        explain,
        library,
        llm,
        mixture,
        ops,
        pool,
        reference,
        rewards,
        select,
        split,
        tokenize,
        train,
    )
    from lmmixup import rate as rate
    from lmmixup.cluster import cluster_vectors
    from lmmixup.dedup import deduplicate

_FUNCTIONS = {"cluster_vectors": "cluster", "deduplicate": "dedup"}
"""What is here without its module's name, and the module."""

__all__ = [
    "__version__",
    "cluster",
    "cluster_vectors",
    "contract",
    "curate",
    "dedup",
    "deduplicate",
    "distill",
    "embed",
    "errors",
    "explain",
    "library",
    "llm",
    "mixture",
    "ops",
    "pool",
    "rate",
    "reference",
    "rewards",
    "select",
    "split",
    "tokenize",
    "train",
]

__version__: str


def __getattr__(name: str) -> Any:
    # `importlib.metadata` and the stages are slow to import; most programs need few of them.
    if name == "__version__":
        return _version()
    if name in _FUNCTIONS:
        return getattr(import_module(f"lmmixup.{_FUNCTIONS[name]}"), name)
    if name in __all__:
        return import_module(f"lmmixup.{name}")
    raise AttributeError(f"module 'lmmixup' has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("lmmixup")
    except PackageNotFoundError:  # a source tree on the path, not installed
        return "0+unknown"
