"""Random projection of long vectors to short ones that keeps their angles."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

BLOCK_ENTRIES = 1 << 24
"""Signs that are held at a time: 64 MiB in single precision."""


class Projection:
    """Multiplies by a matrix of random signs that is drawn anew, block by block, at each use.

    Args:
        dim: D, dimensions of a projected vector.
        seed: Of the signs; they do not depend on the machine.

    Notes:
        O(B x P x D) for B vectors of P numbers. Cosines are kept to about 1 / sqrt(D).

    Source:
        Johnson and Lindenstrauss with the signs of Achlioptas, as LESS (arXiv 2402.04333) takes
        them.
    """

    def __init__(self, dim: int, seed: int) -> None:
        self.dim = dim
        self._seed = seed
        self._only: Any = None  # the whole matrix, where it is one block

    def signs(self, block: int, num_rows: int) -> np.ndarray:
        """The matrix's rows of one block.

        Args:
            block: Number of the block.
            num_rows: Rows that are wanted.

        Returns:
            (num_rows, D) float32, each -1 or 1.
        """
        drawn = np.random.Generator(np.random.Philox(key=np.array([self._seed, block], np.uint64)))
        num_bits = num_rows * self.dim
        bits = np.unpackbits(
            np.frombuffer(drawn.bytes(-(-num_bits // 8)), np.uint8), count=num_bits
        )
        signs: np.ndarray = bits.astype(np.float32).reshape(num_rows, self.dim)
        signs *= 2
        signs -= 1
        return signs

    def __call__(self, vectors_BP: Any) -> Any:
        """Projects vectors.

        Args:
            vectors_BP: (B, P) float32 tensor of torch.

        Returns:
            (B, D) float32 tensor on the same device.
        """
        import torch  # noqa: PLC0415

        num_rows = max(1, BLOCK_ENTRIES // self.dim)
        size = vectors_BP.shape[1]
        projected_BD = vectors_BP.new_zeros((len(vectors_BP), self.dim))
        for block, start in enumerate(range(0, size, num_rows)):
            part = vectors_BP[:, start : start + num_rows]
            signs = self._only if size <= num_rows else None
            if signs is None:
                signs = torch.from_numpy(self.signs(block, part.shape[1])).to(part.device)
                self._only = signs if size <= num_rows else None
            projected_BD += part @ signs
        return projected_BD / sqrt(self.dim)
