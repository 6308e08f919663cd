"""Numbers about lengths: how they spread, what is cut, what padding would cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from lmmixup import _rust
    from lmmixup.tokenize.config import TokenizeConfig

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def length_figures(chats: _rust.ChatPool, config: TokenizeConfig, num_rows: int) -> dict[str, Any]:
    """Figures for the manifest.

    Args:
        chats: Encoded and packed.
        config: Its limits.
        num_rows: Rows that packing made.

    Returns:
        Tokens, rows, how full rows are, how many tokens padding each record to the limit or to
        the longest would take for one of a text, how many records have too many tokens (cut, or
        dropped for it), quantiles of lengths before that, and which way texts and templates took.
    """
    tokens, records = chats.histogram()
    truncated, special_in_text, trained = chats.totals
    filled, rendered, proved = chats.paths
    num_kept, num_tokens = chats.num_kept, chats.num_tokens
    return {
        "tokens": num_tokens,
        "trained_tokens": trained,
        "rows": num_rows,
        "packing_efficiency": _share(num_tokens, num_rows * config.max_row_tokens),
        "padding_to_max_row_tokens": _share(num_kept * config.max_row_tokens, num_tokens),
        "padding_to_longest": _share(num_kept * chats.longest, num_tokens),
        "truncated": truncated,
        "truncated_share": _share(truncated, int(records.sum())),
        "special_in_text": special_in_text,
        "length_quantiles": quantiles(tokens, records),
        "tokenizer_path": chats.path,
        "template_filled": filled,
        "template_rendered": rendered,
        "template_proved": proved,
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def quantiles(tokens: npt.NDArray[np.uint32], records: npt.NDArray[np.uint64]) -> dict[str, int]:
    """Lengths that so many records do not exceed.

    Args:
        tokens: (L,) lengths, ascending.
        records: (L,) how many records have each.

    Returns:
        Length by quantile such as `0.95`, with `max`; empty without records.

    Example:
        >>> import numpy as np
        >>> quantiles(np.array([1, 9], np.uint32), np.array([99, 1], np.uint64))["0.99"]
        1
    """
    if not len(tokens):
        return {}
    up_to = np.cumsum(records)
    at = [int(np.searchsorted(up_to, q * int(up_to[-1]))) for q in QUANTILES]
    named = {f"{q:g}": int(tokens[place]) for q, place in zip(QUANTILES, at, strict=True)}
    return named | {"max": int(tokens[-1])}
