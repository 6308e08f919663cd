"""The stage `curate`: a rated pool in, the same records with corrected ratings out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lmmixup.curate.agreement import Agreement, judge_agreement
from lmmixup.curate.charts import draw_transitions
from lmmixup.curate.config import CurateConfig
from lmmixup.curate.curation import Curation, curate
from lmmixup.embed import embed_pool
from lmmixup.pool import beside
from lmmixup.progress import SILENT, Reporter
from lmmixup.ratings import check_rating, ratings_of
from lmmixup.stage import StageResult, StageRun

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from lmmixup.pool import Pool


def run(
    pool: Pool,
    config: CurateConfig | None = None,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Corrects the ratings of a pool by those of its records' neighbours.

    Args:
        pool: Rated records; unrated ones stay unrated.
        config: Rating column, method, neighbours and confidence.
        output: Folder to make: `data.parquet` (all records; the rating column replaced, so that
            the next stages take the new ratings; `rating_observed` as it came, `curated` where
            the two differ, `rating_confidence`) and `transitions.png`. A rating column that came
            in with the pool stays as `original_NAME`, and `pool export` gives it back.
        overwrite: Replace an output that exists.
        num_threads: Threads; 0 takes all cores. The files are the same at any number.
        reporter: Where progress and warnings go.

    Returns:
        The finished folder; transitions, clusterability and agreement of judges are in its
        figures.

    Raises:
        ArgumentError: A rating column is not there or holds no numbers.
        DataError: Too few rated records, one rating only, fractions, or vectors that do not fit.
        OutputExistsError: The output exists and `overwrite` is false.

    Notes:
        Holds the pool and its vectors in memory.

    Source:
        DS2, arXiv 2410.10877; METHOD §4.
    """
    config = config or CurateConfig()
    check_rating(config.rating, pool.schema)
    for judge in config.judges:
        check_rating(judge, pool.schema, "--judges")
    with StageRun(
        "curate", output, config=config, pool=pool, overwrite=overwrite, reporter=reporter
    ) as open_run:
        records = pa.Table.from_batches(pool.batches(num_threads=num_threads), pool.schema)
        ratings_N = ratings_of(records[config.rating], config.rating)
        judges = {name: ratings_of(records[name], name) for name in config.judges}
        rated_R = np.flatnonzero(~np.isnan(ratings_N))
        embedded = embed_pool(
            pool, config.embed_config(), num_threads=num_threads, reporter=reporter
        )
        curation = curate(
            ratings_N[rated_R],
            np.ascontiguousarray(embedded.vectors_ND[rated_R]),
            config,
            num_threads=num_threads,
            reporter=reporter,
        )
        _write(open_run, records, rated_R, curation, config.rating)
        open_run.counts.kept = records.num_rows
        open_run.counts.input = records.num_rows
        open_run.figures.update(_figures(curation, records.num_rows - len(rated_R)))
        open_run.figures["identity"] = embedded.identity
        agreements = list(judge_agreement(judges, at=config.at))
        open_run.figures["judges"] = [pair.to_dict() for pair in agreements]
        for pair in agreements:
            reporter.note(_sentence(pair, config.at))
        draw_transitions(curation, open_run.folder / "transitions.png")
    return open_run.result


def _write(
    run: StageRun,
    records: pa.Table,
    rated_R: npt.NDArray[np.int64],
    curation: Curation,
    rating: str,
) -> None:
    kind = records.schema.field(rating).type

    def spread(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
        """Values of the rated records, null for the others."""
        whole = np.zeros(records.num_rows, values.dtype)
        whole[rated_R] = values
        is_unrated = np.ones(records.num_rows, bool)
        is_unrated[rated_R] = False
        return pa.array(whole, mask=is_unrated).cast(kind)

    is_changed = np.zeros(records.num_rows, bool)
    is_changed[rated_R] = curation.is_changed_N
    added = {
        rating: spread(curation.ratings_N, kind),
        "rating_observed": records[rating].combine_chunks(),
        "curated": pa.array(is_changed),
        "rating_confidence": spread(curation.confidence_N.astype(np.float32), pa.float32()),
    }
    columns = pa.RecordBatch.from_pydict(added)
    kept, gone = beside(records, columns.schema)
    if earlier := [name for name in gone if name != rating]:
        run.reporter.note(f"columns of an earlier curation give way: {', '.join(earlier)}")
    run.write_rows("data.parquet", kept, np.arange(records.num_rows), columns)


def _figures(curation: Curation, num_unrated: int) -> dict[str, Any]:
    return {
        **curation.figures,
        "unrated": num_unrated,
        "ratings": curation.values_C.tolist(),
        "transitions_before": curation.before.matrix_CC.round(4).tolist(),
        "transitions_after": curation.after.matrix_CC.round(4).tolist(),
        "true_shares": curation.before.prior_C.round(4).tolist(),
        "warnings": curation.warnings,
    }


def _sentence(pair: Agreement, at: float) -> str:
    one, other = pair.judges
    return (
        f"{one} and {other} on {pair.num_records:,} records: exact {pair.exact:.3f}, kappa "
        f"{pair.kappa:.3f}, quadratic weighted kappa {pair.qwk:.3f}; at least {at:g}: "
        f"{pair.high[0]:.1%} and {pair.high[1]:.1%}"
    )
