"""LoRA adapters in a model, and the short training that makes some."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import LmmixupError
from lmmixup.select.checkpoints import (
    Checkpoint,
    Moments,
    own_checkpoint,
    own_moments,
    save_state,
    trained,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lmmixup.progress import Reporter
    from lmmixup.select.config import SelectConfig
    from lmmixup.select.language_model import Encoded, LanguageModel

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
"""Layers that LESS trains; of a model without layers of these names all linear ones are trained."""

ALPHA_PER_RANK = 4
DROPOUT = 0.1
RECORDS_PER_STEP = 32
SHARE_RISING = 0.03
"""LESS's settings of the short training: LoRA's alpha in ranks, dropout, records of a step, and the
share of steps over which the learning rate rises before it falls to 0."""


@contextmanager
def adapted(
    reader: LanguageModel, folder: Path | None, seed: int = 0, rank: int = 8
) -> Iterator[Any]:
    """The reader's model with an adapter in it; without it again afterwards.

    Args:
        reader: The model.
        folder: The adapter; `None` for a new one.
        seed: Of a new one.
        rank: Of a new one.

    Yields:
        The model of PEFT, its adapter trainable.

    Raises:
        LmmixupError: peft is missing, or the adapter does not fit.
    """
    try:
        import peft  # noqa: PLC0415
    except ImportError as error:
        raise LmmixupError(
            f"strategy less needs peft, got: {error}; run `pip install 'lmmixup[train]'`"
        ) from None
    if folder is None:
        names = {name.rpartition(".")[2] for name, _ in reader.network.named_modules()}
        config = peft.LoraConfig(
            r=rank,
            lora_alpha=ALPHA_PER_RANK * rank,
            lora_dropout=DROPOUT,
            target_modules=ATTENTION if names.issuperset(ATTENTION) else "all-linear",
            task_type="CAUSAL_LM",
        )
        with drawn_by(reader, seed):
            tuned = peft.get_peft_model(reader.network, config)
    else:
        try:
            tuned = peft.PeftModel.from_pretrained(reader.network, str(folder), is_trainable=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            first = str(error).splitlines()[0]
            raise LmmixupError(
                f"{folder}: expected a LoRA adapter for this model: {first}"
            ) from None
    try:
        yield tuned
    finally:
        reader.network = tuned.unload()
        reader.network.eval()


@contextmanager
def drawn_by(reader: LanguageModel, seed: int) -> Iterator[None]:
    """Torch's drawn numbers come from a seed here, and go on as before afterwards."""
    devices = [reader.torch.cuda.current_device()] if reader.device == "cuda" else []
    with reader.torch.random.fork_rng(devices=devices):
        reader.torch.manual_seed(seed)
        yield


def warm_up(
    reader: LanguageModel,
    records: Sequence[Encoded],
    config: SelectConfig,
    *,
    seed: int,
    work: Path,
    reporter: Reporter,
) -> list[Checkpoint]:
    """Trains an adapter for some epochs and keeps a checkpoint after each.

    Args:
        reader: The model.
        records: What it is trained on, each with an answer.
        config: Epochs, learning rate, rank.
        seed: Of weights, order and dropout.
        work: Folder for the checkpoints; those that are there are not made again.
        reporter: Where progress goes.

    Returns:
        One checkpoint an epoch.
    """
    made: list[Checkpoint] = []
    for epoch in range(config.warmup_epochs):
        folder = work / f"checkpoint-{epoch}"
        if not folder.exists():
            aside = work / "checkpoint.partial"
            shutil.rmtree(aside, ignore_errors=True)
            before = made[-1].folder if made else None
            with adapted(reader, before, seed, config.lora_rank) as tuned:
                _train_epoch(
                    reader, tuned, records, config, seeds=[seed, epoch], before=before, folder=aside
                )
            aside.rename(folder)
        made.append(own_checkpoint(folder))
        reporter("warm up", epoch + 1, config.warmup_epochs)
    return made


def _train_epoch(
    reader: LanguageModel,
    tuned: Any,
    records: Sequence[Encoded],
    config: SelectConfig,
    *,
    seeds: list[int],
    before: Path | None,
    folder: Path,
) -> None:
    torch, tensors = reader.torch, trained(tuned)
    # Each epoch starts from the files of the one before, so a resumed one has the same start.
    optimizer = torch.optim.AdamW(tensors, lr=config.warmup_rate, weight_decay=0.0)
    if before is not None:
        _restore(optimizer, tensors, own_moments(before, reader.device))
    steps = ceil(len(records) / RECORDS_PER_STEP)
    first = seeds[1] * steps
    order = np.random.default_rng(seeds).permutation(len(records))
    rates = []
    tuned.train()
    with drawn_by(reader, int(np.random.SeedSequence(seeds).generate_state(1)[0])):
        for step in range(steps):
            rates.append(_rate(config.warmup_rate, first + step, steps * config.warmup_epochs))
            optimizer.param_groups[0]["lr"] = rates[-1]
            rows = order[step * RECORDS_PER_STEP : (step + 1) * RECORDS_PER_STEP].tolist()
            for row in rows:
                (reader.loss(records[row]) / len(rows)).backward()
            optimizer.step()
            optimizer.zero_grad()
    tuned.eval()
    tuned.save_pretrained(str(folder))
    save_state(folder, optimizer, tensors, steps=first + steps, rate=float(np.mean(rates)))


def _rate(highest: float, step: int, num_steps: int) -> float:
    rising = int(SHARE_RISING * num_steps)
    if step < rising:
        return highest * (step + 1) / (rising + 1)
    return highest * (num_steps - step) / (num_steps - rising)


def _restore(optimizer: Any, tensors: list[Any], moments: Moments) -> None:
    from torch import tensor  # noqa: PLC0415

    sizes = [one.numel() for one in tensors]
    parts = zip(tensors, moments.first_P.split(sizes), moments.second_P.split(sizes), strict=True)
    for one, first, second in parts:
        optimizer.state[one] = {
            "step": tensor(float(moments.num_steps)),
            "exp_avg": first.view_as(one).clone(),
            "exp_avg_sq": second.view_as(one).clone(),
        }
