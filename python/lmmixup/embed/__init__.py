"""Vectors for records: lexical, static, transformer, server or the user's own.

`embed_pool` gives them to another stage, `run` writes them to a result folder, and
`read_vectors` reads such a folder back.
"""

from lmmixup.embed.config import EmbedConfig, NeighboursConfig, VectorsConfig
from lmmixup.embed.embedder import Embedder, make_embedder
from lmmixup.embed.heart import Embedded, embed_pool, embed_texts, record_texts
from lmmixup.embed.stage import run
from lmmixup.embed.vectors import read_vectors

__all__ = [
    "EmbedConfig",
    "Embedded",
    "Embedder",
    "NeighboursConfig",
    "VectorsConfig",
    "embed_pool",
    "embed_texts",
    "make_embedder",
    "read_vectors",
    "record_texts",
    "run",
]
