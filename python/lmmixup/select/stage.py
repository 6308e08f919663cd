"""The stage `select`: pools in, the records to train on out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lmmixup.errors import InfeasibleError
from lmmixup.pool import PoolOptions, beside, open_pool
from lmmixup.progress import SILENT, Reporter
from lmmixup.select.config import SelectConfig
from lmmixup.select.layouts import write_layout
from lmmixup.select.merge import DISTILLED, ORIGINAL, Sides, available, join, wanted
from lmmixup.select.strategies import STRATEGIES, Candidates, Ranking
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from lmmixup.pool import Pool

NOT_SELECTED = "not-selected"

TARGET_COLUMNS = ("source", "prompt", "completion")


def run(
    pool: Pool,
    config: SelectConfig | None = None,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Selects the records to train on.

    With `config.distilled` both pools are ordered by the strategy, each by itself, and the best of
    each are merged at the ratio.

    Args:
        pool: The original records.
        config: Strategy, numbers, ratio, seed and layouts.
        output: Folder to make: `data.parquet` (the selected records with `selection_rank`, the
            strategy's scores and, of a merge, `origin`), `dropped.parquet` (the others, and
            why), and a folder for each layout.
        overwrite: Replace an output that exists.
        num_threads: Threads; 0 takes all cores. The files are the same at any number.
        reporter: Where progress goes.

    Returns:
        The finished folder.

    Raises:
        ArgumentError: A column is missing, or the number cannot be split at the ratio.
        InfeasibleError: There are fewer records than asked for.
        DataError: Vectors do not fit, or an id is in both pools.
        LmmixupError: A model or package is missing.
        OutputExistsError: The output exists and `overwrite` is false.

    Notes:
        Holds the pools and their vectors in memory.

    Source:
        METHOD §7; the strategies name theirs.
    """
    config = config or SelectConfig()
    pools = {ORIGINAL: pool}
    if config.distilled is not None:
        pools = {DISTILLED: open_pool(config.distilled), ORIGINAL: pool}
    # A target record that cannot be read would change what is looked for: it is an error.
    target = open_pool([*config.target], PoolOptions(strict=True)) if config.target else None
    want = wanted(config, list(pools))
    with StageRun(
        "select",
        output,
        config=config,
        pool=Sides(pools, target),
        overwrite=overwrite,
        reporter=reporter,
    ) as open_run:
        tables, rankings = _rank(open_run, pools, target, want, config, num_threads=num_threads)
        have = {side: len(ranking.order_R) for side, ranking in rankings.items()}
        take = available(config, want, have)
        if not any(take.values()):
            raise InfeasibleError(
                f"expected records that strategy {config.strategy} may take, got none among "
                f"{sum(table.num_rows for table in tables.values()):,}"
            )
        _write_selected(open_run, tables, rankings, take, config)
        _write_others(open_run, tables, rankings, take)
        num_records = sum(table.num_rows for table in tables.values())
        open_run.counts.input = num_records
        open_run.figures.update(_figures(rankings, want, take, config))
    return open_run.result


def _rank(
    run: StageRun,
    pools: dict[str, Pool],
    target: Pool | None,
    want: dict[str, int | None],
    config: SelectConfig,
    *,
    num_threads: int,
) -> tuple[dict[str, pa.Table], dict[str, Ranking]]:
    """The records of each side, and the strategy's order of them."""
    target_records = None if target is None else target.read(TARGET_COLUMNS)
    tables: dict[str, pa.Table] = {}
    rankings: dict[str, Ranking] = {}
    for number, (side, pool) in enumerate(pools.items()):
        table = pa.Table.from_batches(pool.batches(num_threads=num_threads), pool.schema)
        candidates = Candidates(
            pool=pool,
            records=table,
            config=config,
            num=want[side],
            side=number,
            target=target_records,
            work=run.work / side,
            num_threads=num_threads,
            reporter=run.reporter,
        )
        has_order = table.num_rows > 0 and want[side] != 0
        tables[side] = table
        rankings[side] = (
            STRATEGIES[config.strategy](candidates) if has_order else Ranking(np.zeros(0, np.int64))
        )
    return tables, rankings


def _write_selected(
    run: StageRun,
    tables: dict[str, pa.Table],
    rankings: dict[str, Ranking],
    take: dict[str, int],
    config: SelectConfig,
) -> None:
    whole = join(tables)
    starts = np.cumsum([0, *(table.num_rows for table in tables.values())])
    parts = [
        (start, side, rankings[side], take[side])
        for start, side in zip(starts, tables, strict=False)
    ]
    rows = np.concatenate([start + ranking.order_R[:num] for start, _, ranking, num in parts])
    ranks = np.concatenate([np.arange(1, num + 1) for *_, num in parts])
    columns = {"selection_rank": pa.array(ranks, pa.int32())}
    for name in dict.fromkeys(name for *_, ranking, _ in parts for name in ranking.columns):
        scores = np.concatenate(
            [ranking.columns[name][ranking.order_R[:num]] for *_, ranking, num in parts if num]
        )
        columns[name] = pa.array(scores, pa.float32(), from_pandas=True)
    if len(parts) > 1:
        origins = np.repeat([side for _, side, *_ in parts], [num for *_, num in parts])
        columns["origin"] = pa.array(origins, pa.string())
    order = np.arange(len(rows))
    if config.shuffle:
        order = np.random.default_rng(config.seed).permutation(len(rows))
    added = pa.RecordBatch.from_pydict(columns).take(pa.array(order))
    kept, gone = beside(whole, added.schema)
    if gone:
        run.reporter.note(f"columns of an earlier run give way: {', '.join(gone)}")
    run.write_rows("data.parquet", kept, rows[order], added)
    run.counts.kept = len(rows)
    for layout in config.layout:
        selected = whole.select(["messages"]).take(pa.array(rows[order]))
        run.figures.update(write_layout(layout, selected, run.folder))


def _write_others(
    run: StageRun,
    tables: dict[str, pa.Table],
    rankings: dict[str, Ranking],
    take: dict[str, int],
) -> None:
    for side, table in tables.items():
        ids, ranking = table["id"].combine_chunks(), rankings[side]
        left = np.ones(table.num_rows, bool)
        left[ranking.order_R[: take[side]]] = False
        for reason, rows in ranking.excluded.items():
            left[rows] = False
            run.drop(ids.take(pa.array(rows)), reason)
        places = np.zeros(table.num_rows, np.int64)
        places[ranking.order_R] = np.arange(1, len(ranking.order_R) + 1)
        rows = np.flatnonzero(left)
        run.drop(ids.take(pa.array(rows)), NOT_SELECTED, details=_places(places[rows], ranking))


def _places(places_R: npt.NDArray[np.int64], ranking: Ranking) -> pa.Array:
    number = len(ranking.order_R)
    said = [f"place {place:,} of {number:,}" if place else None for place in places_R.tolist()]
    return pa.array(said, pa.string())


def _figures(
    rankings: dict[str, Ranking],
    want: dict[str, int | None],
    take: dict[str, int],
    config: SelectConfig,
) -> dict[str, Any]:
    is_merge = len(rankings) > 1
    fewer = any(take[side] < (want[side] or 0) for side in take)
    figures: dict[str, Any] = {"strategy": config.strategy, "selected": sum(take.values())}
    if is_merge:
        figures |= {**take, "ratio": config.ratio}
    figures["fewer_than_asked"] = fewer
    for side, ranking in rankings.items():
        prefix = f"{side}_" if is_merge else ""
        figures[f"{prefix}selectable"] = len(ranking.order_R)
        figures |= {f"{prefix}{name}": value for name, value in ranking.figures.items()}
    return figures
