"""A tokenizer whose batches are arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from lmmixup import _rust
from lmmixup.tokenize.files import find_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from lmmixup.ops import OnProgress


class Tokenizer:
    """A `tokenizer.json`, encoded as Hugging Face `tokenizers` does.

    Args:
        path: The file, or a folder with one.

    Attributes:
        path: `words` where byte-level BPE takes the table of words and own merges,
            `tokenizers` where the crate of that name does all; the ids are the same.

    Raises:
        FileError: There is no such file.
        DataError: It is no tokenizer that tokenizers 1.0 reads.

    Notes:
        Ids are those of `tokenizers` 1.0.0-rc.3, and of 0.23 but for characters that Unicode
        assigned since.

    Source:
        Ours; docs/decisions/0018-tokenize.md.

    Example:
        >>> from lmmixup.tokenize import Tokenizer
        >>> ids, offsets = Tokenizer("m").encode_batch(["two", ""])  # doctest: +SKIP
    """

    def __init__(self, path: str | Path) -> None:
        self._encoder = _rust.Encoder(find_files(path).tokenizer)
        self.path = self._encoder.path

    def encode_batch(
        self,
        texts: Sequence[str] | pa.Array | pa.ChunkedArray,
        *,
        specials: bool = True,
        num_threads: int = 0,
        on_progress: OnProgress | None = None,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Token ids of many texts, flat.

        Args:
            texts: (N,) texts; an Arrow string array is read where it lies.
            specials: Text that is a special token becomes it; else it is encoded as text.
                Nothing is added around a text.
            num_threads: Threads; 0 takes all.
            on_progress: Called with phase, done and total some ten times a second.

        Returns:
            (T,) int32 ids of all texts, and (N + 1,) int64 offsets: text `i` has
            `ids[offsets[i]:offsets[i + 1]]`.

        Raises:
            DataError: `texts` are no strings.

        Notes:
            Linear in the bytes but for very long words; the same at any number of threads.
        """
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
        return self._encoder.encode_batch(array, specials, num_threads, on_progress)
