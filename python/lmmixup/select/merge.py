"""Two pools as one, and how many records each of them gives."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lmmixup.errors import ArgumentError, DataError, InfeasibleError
from lmmixup.pool.layout import Original, with_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

    from lmmixup.pool import Pool
    from lmmixup.select.config import SelectConfig
    from lmmixup.stage import InputFile

DISTILLED, ORIGINAL = "distilled", "original"

WAY_BACK = ("id", "source", "prompt", "completion", "messages")
"""Columns that `pool export` gives of a merged pool: those that both sides have."""


class Sides:
    """The pools that are merged, as one input of a stage.

    Args:
        pools: Pools by side; `original` is there always.
        target: What records are compared with, where the strategy does so; its records have no
            outcome.
    """

    def __init__(self, pools: Mapping[str, Pool], target: Pool | None = None) -> None:
        self.pools = pools
        self.target = target

    @property
    def options(self) -> BaseModel:
        """How the original pool's files are read."""
        return self.pools[ORIGINAL].options

    @property
    def rejects(self) -> Any:
        """Those of all sides."""
        return list(chain.from_iterable(pool.rejects for pool in self.pools.values()))

    def inputs(self) -> Sequence[InputFile]:
        """The files of all sides and of the target."""
        pools = [*self.pools.values(), *([] if self.target is None else [self.target])]
        return [file for pool in pools for file in pool.inputs()]


def wanted(config: SelectConfig, sides: Sequence[str]) -> dict[str, int | None]:
    """How many records each side should give.

    Args:
        config: Number and ratio.
        sides: Names of the sides.

    Returns:
        The number by side; `None` for as many as there are.

    Raises:
        ArgumentError: The number cannot be split at the ratio.

    Example:
        >>> from lmmixup.select import SelectConfig
        >>> config = SelectConfig(num=10, distilled="d", ratio="3:7")
        >>> wanted(config, ["distilled", "original"])
        {'distilled': 3, 'original': 7}
    """
    if len(sides) == 1:
        return {sides[0]: config.num}
    shares = dict(zip((DISTILLED, ORIGINAL), config.units, strict=True))
    if config.num is None:
        return {side: None if shares[side] else 0 for side in sides}
    whole = sum(shares.values())
    if config.num % whole:
        below = config.num // whole * whole
        raise ArgumentError(
            f"--num: {config.num:,} records cannot be {config.ratio} of whole records; "
            f"take {below:,} or {below + whole:,}"
        )
    return {side: config.num // whole * shares[side] for side in sides}


def available(
    config: SelectConfig, want: Mapping[str, int | None], have: Mapping[str, int]
) -> dict[str, int]:
    """How many records each side gives, at the same ratio.

    Args:
        config: Ratio, and whether there may be fewer.
        want: From `wanted`.
        have: Records that may be selected, by side.

    Returns:
        The number by side.

    Raises:
        InfeasibleError: A side has too few and `allow_fewer` is not set.
    """
    short = [side for side in want if have[side] < (want[side] or 0)]
    if short and not config.allow_fewer:
        side = short[0]
        raise InfeasibleError(
            f"expected {want[side]:,} {side if len(want) > 1 else 'selectable'} records, got "
            f"{have[side]:,} that strategy {config.strategy} may take; lower --num or pass "
            "--allow-fewer"
        )
    limit = {
        side: have[side] if num is None else min(have[side], num) for side, num in want.items()
    }
    if len(limit) == 1:
        return limit
    shares = dict(zip((DISTILLED, ORIGINAL), config.units, strict=True))
    units = min(limit[side] // shares[side] for side in want if shares[side])
    return {side: units * shares[side] for side in want}


def join(tables: Mapping[str, pa.Table]) -> pa.Table:
    """The records of all sides, one after the other; a column that one lacks is null there.

    Args:
        tables: Records by side.

    Returns:
        One table; of several sides, `pool export` gives the columns of `WAY_BACK`.

    Raises:
        DataError: An id is on both sides, or a column has two types.
    """
    if len(tables) == 1:
        return next(iter(tables.values()))
    again = tables[DISTILLED]["id"].filter(
        pc.is_in(tables[DISTILLED]["id"], tables[ORIGINAL]["id"].combine_chunks())
    )
    if len(again):
        raise DataError(
            f"expected ids of one side only, got {len(again):,} on both, such as "
            f"{again[0].as_py()!r}"
        )
    try:
        whole = pa.concat_tables(tables.values(), promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise DataError(f"the two sides have a column of two types: {error}") from None
    originals = tuple(Original(name, name) for name in WAY_BACK)
    return whole.replace_schema_metadata(
        with_metadata(whole.schema, "messages", originals).schema.metadata
    )
