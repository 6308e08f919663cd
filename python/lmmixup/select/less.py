"""LESS: the records whose gradients point where those of a target do.

Shapes: N records, T target records, S subtasks of the target, P trained numbers, D projected ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import DataError
from lmmixup.select.adapters import adapted, warm_up
from lmmixup.select.checkpoints import (
    Checkpoint,
    Moments,
    given_checkpoints,
    moments_of,
    trained,
)
from lmmixup.select.language_model import Encoded, LanguageModel, texts_of
from lmmixup.select.pieces import Pieces
from lmmixup.select.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

    from lmmixup.progress import Reporter
    from lmmixup.select.config import SelectConfig

CHUNK = 64
"""Records whose scores are kept together, so that a killed run need not make them again."""

GRADIENT_BYTES = 1 << 30
"""Gradients before projection that are held at a time."""

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's constants."""


@dataclass(frozen=True)
class Influences:
    """How much training on each record should help with the target.

    Attributes:
        score_N: (N,) mean of the cosines over checkpoints, in -1..1; NaN for an empty completion.
        figures: Model, checkpoints, target and number of records that were cut, for the manifest.
    """

    score_N: npt.NDArray[np.float32]  # noqa: N815
    figures: dict[str, Any]


def score_influence(
    records: pa.Table,
    target: pa.Table,
    config: SelectConfig,
    *,
    side: int,
    work: Path,
    reporter: Reporter,
) -> Influences:
    """Scores records by the likeness of their gradients to those of a target.

    Args:
        records: N records with prompt and completion.
        target: T records like those that the model shall answer well; those of one `source` are a
            subtask.
        config: Model, checkpoints or how they are made, dimensions, seed.
        side: Number of the pool among those that are merged; draws differ between them.
        work: Folder for finished pieces.
        reporter: Where progress goes.

    Returns:
        For each record the highest of its scores over the subtasks. A score is the mean cosine of
        Adam's step for the record with the gradients of the subtask's records, averaged over
        checkpoints by their learning rates.

    Raises:
        LmmixupError: torch, transformers or peft is missing, or a model cannot be loaded.
        DataError: The target, or the part to train on, has no completion.
        FileError: A given checkpoint lacks what is needed.

    Notes:
        A forward and a backward pass of each record and checkpoint. Holds the projected
        gradients of the target and of `CHUNK` records. Last bits depend on the machine.

    Source:
        LESS, arXiv 2402.04333, section 4; the mean over a subtask is of cosines, as in its code.
    """
    reader = LanguageModel(str(config.model), config.max_record_tokens)
    work.mkdir(parents=True, exist_ok=True)
    targets, subtask_T = _with_subtasks(reader, target)
    checkpoints = given_checkpoints(config.checkpoints)
    if not checkpoints:
        part = _drawn_part(reader, records, config, side)
        checkpoints = warm_up(reader, part, config, seed=config.seed, work=work, reporter=reporter)
    weights = np.array([one.rate for one in checkpoints])
    weights = weights / weights.sum() if weights.any() else np.full(len(weights), 1 / len(weights))
    score_NS = np.zeros((records.num_rows, int(subtask_T.max()) + 1))
    is_cut_N = np.zeros(records.num_rows, bool)
    num_trained = 0
    for number, checkpoint in enumerate(checkpoints):
        with adapted(reader, checkpoint.folder) as tuned:
            gradients = Gradients(reader, tuned, checkpoint, config)
            pieces = Pieces(work / f"gradients-{number}", CHUNK, reporter)
            mean_SD = _mean_target(gradients, targets, subtask_T, pieces)
            found = _cosines(gradients, records, mean_SD, pieces)
            score_NS += weights[number] * found[:, :-1]
            is_cut_N |= found[:, -1] > 0
            num_trained = gradients.num_trained
    figures = {
        "model": str(config.model),
        "checkpoints": len(checkpoints),
        "checkpoint_weights": [round(float(weight), 6) for weight in weights],
        "trained_numbers": num_trained,
        "target_records": len(targets),
        "target_subtasks": score_NS.shape[1],
        "records_cut": int(is_cut_N.sum()),
    }
    return Influences(score_NS.max(axis=1).astype(np.float32), figures)


def _with_subtasks(
    reader: LanguageModel, target: pa.Table
) -> tuple[list[Encoded], npt.NDArray[np.int64]]:
    """The target's records with an answer, and the number of each one's subtask."""
    encoded = _encoded(reader, target)
    sources = target["source"].to_pylist()
    there = [row for row, one in enumerate(encoded) if one.answer]
    if not there:
        raise DataError(f"expected target records with completions, got none of {len(encoded)}")
    names = sorted({sources[row] or "" for row in there})
    return [encoded[row] for row in there], np.array(
        [names.index(sources[row] or "") for row in there]
    )


def _drawn_part(
    reader: LanguageModel, records: pa.Table, config: SelectConfig, side: int
) -> list[Encoded]:
    """The records that the short training sees."""
    rng = np.random.default_rng([config.seed, side, 1])
    size = ceil(config.warmup_share * records.num_rows)
    rows = np.sort(rng.permutation(records.num_rows)[:size])
    drawn = [one for one in _encoded(reader, records.take(rows)) if one.answer]
    if not drawn:
        raise DataError(f"none of the {size} records drawn for the warm-up has a completion")
    return drawn


def _encoded(reader: LanguageModel, records: pa.Table) -> list[Encoded]:
    texts = zip(texts_of(records, "prompt"), texts_of(records, "completion"), strict=True)
    return [reader.encode(prompt, completion) for prompt, completion in texts]


class Gradients:
    """Projected gradients of records at one checkpoint.

    Args:
        reader: The model.
        tuned: The same with the checkpoint's adapter.
        checkpoint: Where its moments are.
        config: Dimensions and seed of the projection.

    Attributes:
        reader: The model.
        num_trained: P.
        dim: D.
    """

    def __init__(
        self, reader: LanguageModel, tuned: Any, checkpoint: Checkpoint, config: SelectConfig
    ) -> None:
        tuned.eval()
        self.dim = config.gradient_dim
        self.reader = reader
        self._tensors = trained(tuned)
        self._moments = moments_of(checkpoint.folder, tuned, reader.device)
        self._project = Projection(config.gradient_dim, config.seed)
        self.num_trained = sum(tensor.numel() for tensor in self._tensors)

    def gradient(self, record: Encoded) -> Any:
        """(P,) gradient of the mean loss of a record's answer."""
        parts = self.reader.torch.autograd.grad(self.reader.loss(record), self._tensors)
        return self.reader.torch.cat([part.reshape(-1).float() for part in parts])

    def units(self, records: Sequence[Encoded], *, is_training: bool) -> npt.NDArray[np.float64]:
        """Directions of projected gradients.

        Args:
            records: n records.
            is_training: Take the step that Adam would make, not the gradient itself.

        Returns:
            (n, D), rows of length 1; NaN for a record without an answer.
        """
        torch = self.reader.torch
        units = np.full((len(records), self.dim), np.nan)
        rows = [row for row, record in enumerate(records) if record.answer]
        size = max(1, min(CHUNK, GRADIENT_BYTES // (4 * self.num_trained)))
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            wholes = [self.gradient(records[row]) for row in some]
            if is_training:
                wholes = [adam_step(whole, self._moments) for whole in wholes]
            projected = self._project(torch.stack(wholes)).double().cpu().numpy()
            norms = np.linalg.norm(projected, axis=1, keepdims=True)
            units[some] = projected / np.where(norms > 0, norms, 1)
        return units


def adam_step(gradient_P: Any, moments: Moments) -> Any:
    """The step that Adam would make with one more gradient, at learning rate 1.

    Args:
        gradient_P: (P,) tensor.
        moments: Adam's state before.

    Returns:
        (P,) tensor.
    """
    step = moments.num_steps + 1
    first_P = BETA_1 * moments.first_P + (1 - BETA_1) * gradient_P
    second_P = BETA_2 * moments.second_P + (1 - BETA_2) * gradient_P**2
    return (first_P / (1 - BETA_1**step)) / ((second_P / (1 - BETA_2**step)).sqrt() + EPSILON)


def _mean_target(
    gradients: Gradients,
    targets: list[Encoded],
    subtask_T: npt.NDArray[np.int64],
    pieces: Pieces,
) -> npt.NDArray[np.float64]:
    """(S, D): the mean direction of each subtask's gradients."""
    units_TD = pieces.of(
        "target",
        lambda start, stop: gradients.units(targets[start:stop], is_training=False),
        len(targets),
        gradients.dim,
    )
    subtasks = range(int(subtask_T.max()) + 1)
    return np.stack([units_TD[subtask_T == subtask].mean(axis=0) for subtask in subtasks])


def _cosines(
    gradients: Gradients,
    records: pa.Table,
    mean_SD: npt.NDArray[np.float64],
    pieces: Pieces,
) -> npt.NDArray[np.float64]:
    """(N, S + 1): the mean cosine with each subtask, and whether the record was cut."""

    def make(start: int, stop: int) -> npt.NDArray[np.float64]:
        some = _encoded(gradients.reader, records.slice(start, stop - start))
        units_CD = gradients.units(some, is_training=True)
        cosines_CS = np.einsum("cd,sd->cs", units_CD, mean_SD)
        return np.column_stack([cosines_CS, [one.is_cut for one in some]])

    return pieces.of("records", make, records.num_rows, len(mean_SD) + 1)
