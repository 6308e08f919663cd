"""What an embedder is, and which one a config names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lmmixup.progress import SILENT, Reporter

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from lmmixup.embed.cache import Chunked
    from lmmixup.embed.config import EmbedConfig


class Embedder(Protocol):
    """Turns texts into vectors of length 1; an empty text into a zero vector."""

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""

    def identity(self) -> dict[str, Any]:
        """All that the vectors depend on, beside the text: what digests and caches are keyed by."""

    def embed(self, texts: pa.Array | pa.ChunkedArray, reporter: Reporter = SILENT) -> np.ndarray:
        """Vectors of texts.

        Args:
            texts: (N,) strings.
            reporter: Where progress goes.

        Returns:
            (N, D) float32.
        """


def make_embedder(
    config: EmbedConfig, *, num_threads: int = 0, reporter: Reporter = SILENT
) -> Embedder:
    """The embedder that a config names, ready to use.

    `npy` and `column` are not embedders, and `lexical` must first have counted the pool's words:
    `embed_pool` takes care of the three.

    Args:
        config: Which one.
        num_threads: Threads of those that run here; 0 takes all.
        reporter: Where it says that vectors come from a cache.

    Raises:
        ArgumentError: The config names vectors that exist already.
        LmmixupError: A package or model that it needs is missing.

    Source:
        Ours.
    """
    from lmmixup.errors import ArgumentError  # noqa: PLC0415

    if config.kind == "lexical":
        from lmmixup.embed.lexical import LexicalEmbedder  # noqa: PLC0415

        return LexicalEmbedder(config.dim or 256, num_threads=num_threads)
    if config.kind in ("wordllama", "static"):
        from lmmixup.embed.static import static_embedder  # noqa: PLC0415

        return static_embedder(config, num_threads=num_threads)
    if config.kind in ("st", "openai"):
        from lmmixup.embed.cache import cached  # noqa: PLC0415

        return cached(_paid(config), config.cache, reporter)
    raise ArgumentError(f"{config.embedder!r} names vectors that exist, not an embedder")


def _paid(config: EmbedConfig) -> Chunked:
    if config.kind == "st":
        from lmmixup.embed.transformer import TransformerEmbedder  # noqa: PLC0415

        return TransformerEmbedder(config)
    from lmmixup.embed.server import ServerEmbedder  # noqa: PLC0415

    return ServerEmbedder(config)
