"""The stage `tokenize`: a pool in, packed rows of token ids in Arrow shards out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa

from lmmixup import _rust
from lmmixup.errors import ArgumentError, InfeasibleError
from lmmixup.progress import SILENT, Reporter
from lmmixup.stage import StageResult, StageRun
from lmmixup.tokenize.charts import draw_lengths
from lmmixup.tokenize.files import find_files
from lmmixup.tokenize.shards import write_shards
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
        Tokens are on disk, four bytes each; memory holds 4 bytes a record, 12 more while packing,
        and what the pool holds. Shards that a killed run finished are not written again. Same
        bytes at any number of threads.

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
    # The tokenizer is opened while the run digests its input.
    with ThreadPoolExecutor(1) as aside:
        opening = aside.submit(
            _rust.ChatEncoder,
            files.tokenizer,
            files.template,
            files.variables,
            config.special_in_text,
            config.template_path == "auto",
        )
        with open_run:
            open_run.figures.update(files.digests())
            _make(open_run, pool, config, opening.result(), num_threads)
    return open_run.result


def _make(
    run: StageRun, pool: Pool, config: TokenizeConfig, encoder: _rust.ChatEncoder, num_threads: int
) -> None:
    """Encodes, packs and writes."""
    is_cut = config.too_long == "truncate"
    chats = _rust.ChatPool(encoder, config.max_row_tokens, is_cut, run.scratch / "tokens.bin")
    pool.feed(chats, columns=COLUMNS, num_threads=num_threads, reporter=run.reporter)
    _account(run, chats)
    num_rows = chats.pack(config.packing, config.max_row_tokens, config.pack_window)
    run.figures.update(length_figures(chats, config, num_rows))
    if config.stats:
        draw_lengths(*chats.histogram(), config.max_row_tokens, run.folder)
    elif num_rows:
        write_shards(run, chats, config, num_rows, num_threads)
    else:
        raise InfeasibleError(
            "no record has a token to train on; see why with --stats and dropped.parquet"
        )


def _account(run: StageRun, chats: _rust.ChatPool) -> None:
    """Gives every record its outcome."""
    by_reason: dict[str, list[tuple[str, str]]] = {}
    for record, reason, detail in chats.dropped():
        by_reason.setdefault(reason, []).append((record, detail))
    for reason, rows in sorted(by_reason.items()):
        ids, details = (pa.array(column, pa.string()) for column in zip(*rows, strict=True))
        run.drop(ids, reason, details=details)
    run.counts.input = len(chats)
    run.counts.kept = chats.num_kept
