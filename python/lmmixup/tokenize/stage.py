"""The stage `tokenize`: a pool in, packed rows of token ids in Arrow shards out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from lmmixup import _rust
from lmmixup.errors import ArgumentError, InfeasibleError
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import StageResult, StageRun
from lmmixup.tokenize.charts import draw_lengths
from lmmixup.tokenize.config import PACK_WINDOW
from lmmixup.tokenize.files import find_files
from lmmixup.tokenize.shards import batch_rows, count_rows, place_shards, write_shards
from lmmixup.tokenize.stats import length_figures

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.pool import Pool
    from lmmixup.tokenize.config import TokenizeConfig

COLUMNS = ("id", "messages")
"""What chats are made of."""


def run(
    pool: Pool,
    config: TokenizeConfig,
    *,
    output: str | Path,
    overwrite: bool = False,
    num_threads: int = 0,
    reporter: Reporter = SILENT,
) -> StageResult:
    """Tokenises and packs a pool.

    Args:
        pool: Where the records come from; read once.
        config: Tokenizer, template, limits, packing.
        output: Folder to make.
        overwrite: Replace an output that exists.
        num_threads: 0 takes all cores.
        reporter: Where progress goes.

    Returns:
        The finished folder: a data set for `datasets.load_from_disk` (`data-*.arrow`,
        `dataset_info.json`, `state.json`) with `input_ids`, `labels` (-100 where not trained on),
        `seq_lengths` and maybe `position_ids`; `dropped.parquet`, `rejects.jsonl`,
        `manifest.json`. With `stats`, `lengths.png` in place of the data set.

    Raises:
        ArgumentError: There is no chat template.
        DataError: Tokenizer or template cannot be read, or a template treats a content in a way
            of its own that was not seen when it was taken apart.
        InfeasibleError: No record has a token to train on.
        OutputExistsError: The output exists and `overwrite` is false.

    Notes:
        Rows are written while records are read: memory holds the tokens of two windows of
        records, and what the pool holds. Packing all records at once (`pack_window` 0) puts tokens
        on disk, four bytes each, and takes 16 bytes a record. Shards that a killed run finished
        are not written again. Same bytes at any number of threads.

    Source:
        Ours; docs/decisions/0018-tokenize.md.
    """
    if config.tokenizer is None:
        raise ArgumentError("expected a tokenizer, got none; pass `tokenizer`")
    files = find_files(config.tokenizer, config.template)
    if files.template is None:
        raise ArgumentError(
            f"{files.tokenizer.parent}: expected a chat template (chat_template.jinja, or in "
            "tokenizer_config.json), got none; pass --template FILE"
        )
    open_run = StageRun(
        "tokenize", output, config=config, pool=pool, overwrite=overwrite, reporter=reporter
    )
    # The tokenizer is opened and digested while the run digests its input.
    with ThreadPoolExecutor(2) as aside:
        opening = aside.submit(
            _rust.ChatEncoder,
            files.tokenizer,
            files.template,
            files.variables,
            config.special_in_text,
            config.template_path == "auto",
        )
        digesting = aside.submit(files.digests)
        with open_run:
            open_run.figures.update(digesting.result())
            _make(open_run, pool, config, opening.result(), num_threads)
    return open_run.result


def _make(
    run: StageRun, pool: Pool, config: TokenizeConfig, encoder: _rust.ChatEncoder, num_threads: int
) -> None:
    """Encodes, packs and writes, all at the same time."""
    is_cut = config.too_long == "truncate"
    window = config.pack_window if config.packing == "best-fit" else PACK_WINDOW
    tokens = run.scratch / "tokens.bin"
    chats = _rust.ChatPool(encoder, config.max_row_tokens, is_cut, window, tokens)
    rows = chats.rows(
        config.packing, config.max_row_tokens, config.position_ids, batch_rows(config)
    )
    with ThreadPoolExecutor(1) as aside:
        take = partial(count_rows if config.stats else partial(write_shards, run), rows, config)
        taking = aside.submit(take)
        try:
            pool.feed(chats, columns=COLUMNS, num_threads=num_threads, reporter=run.reporter)
            chats.finish()
        except BaseException:
            chats.stop()
            taking.result()  # raises what came first, if it was that rows could not be written
            raise
        shards = taking.result()
    _account(run, chats)
    run.figures.update(length_figures(chats, config, sum(shard.num_rows for shard in shards)))
    if config.stats:
        draw_lengths(*chats.histogram(), config.max_row_tokens, run.folder)
    elif shards:
        place_shards(run, shards, config)
    else:
        raise InfeasibleError(
            "no record has a token to train on; see why with --stats and dropped.parquet"
        )


def _account(run: StageRun, chats: _rust.ChatPool) -> None:
    """Gives every record its outcome."""
    for reason, dropped in chats.dropped():
        rows = pa.record_batch(dropped)
        run.drop(rows.column("id"), reason, details=rows.column("detail"))
    run.counts.input = len(chats)
    run.counts.kept = chats.num_kept
