"""TRL's trainers with whole checkpoints, a stop at NaN and our log.

This module imports torch: only a process that trains loads it.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from typing import TYPE_CHECKING, Any

import torch
import trl
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from lmmixup.errors import TrainError
from lmmixup.train import checkpoint, log
from lmmixup.train.economy import in_bf16

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lmmixup.train.config import GrpoConfig

NAN_FILE = "nan_batch.json"


class Guarded:
    """What both trainings add to TRL's trainer; stands before it in a class's bases.

    `guard` and `show`, which takes lines of the table, are set after the trainer is made.
    """

    folder: Path
    sample_ids: Sequence[str]
    save_limit: int
    show: Callable[[str], None]
    kind: str
    log_probs_by = "trl"
    # Of TRL's trainer:
    accelerator: Any
    args: Any
    control: Any
    model: Any
    state: Any
    _metrics: Any
    _rows: torch.Tensor | None = None
    _update: list[torch.Tensor | None]
    _is_saving = False
    _tokens_before = 0.0
    _time_before = 0.0

    def guard(
        self,
        folder: Path,
        sample_ids: Sequence[str],
        *,
        kind: str,
        save_limit: int,
    ) -> None:
        """Says where the run keeps its work, and which samples its rows are."""
        self.folder, self.sample_ids, self.kind = folder, sample_ids, kind
        self.save_limit = save_limit
        self._update = []
        self._time_before = time.monotonic()

    def _send_telemetry(self) -> None:
        """Sends nothing: TRL would report each training."""

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """As TRL's; one that was killed after its last update does none on top."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)  # type: ignore[misc]

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As TRL's; a loss that is no finite number ends the training."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)  # type: ignore[misc]
        if not torch.isfinite(loss).all():
            raise self._not_finite("loss", loss.item(), [self._rows])
        self._update.append(self._rows)
        return loss

    def _maybe_log_save_evaluate(
        self, tr_loss: torch.Tensor, grad_norm: Any, *args: Any, **kwargs: Any
    ) -> None:
        """As TRL's; before anything is saved, gradients that are no finite numbers end it too."""
        rows, self._update = self._update, []
        if grad_norm is not None and not math.isfinite(grad_norm):
            raise self._not_finite("gradient norm", float(grad_norm), rows, self.state.global_step)
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, **kwargs)  # type: ignore[misc]

    def _not_finite(
        self, what: str, value: float, rows: Sequence[torch.Tensor | None], step: int | None = None
    ) -> TrainError:
        step = step or self.state.global_step + 1
        known = {row for some in rows if some is not None for row in some.flatten().tolist()}
        said = {"step": step, what.replace(" ", "_"): str(value)}
        ids = [self.sample_ids[row] for row in sorted(known)]
        saved = self.folder / NAN_FILE
        saved.write_text(json.dumps({**said, "ids": ids}) + "\n")
        return TrainError(
            f"the {what} of step {step} is {value}; the ids of its batch are in {saved}; hint: "
            "look at these samples, or lower the learning rate"
        )

    def _get_output_dir(self, trial: Any) -> str:
        folder = super()._get_output_dir(trial)  # type: ignore[misc]
        return str(checkpoint.saving_folder(self._checkpoints)) if self._is_saving else folder

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Writes nothing: the finished model gets a card of our own."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Saves aside, then makes the checkpoint whole at once."""
        step: int = self.state.global_step
        self._is_saving = True
        try:
            with checkpoint.saving(f"checkpoint {step}", self._checkpoints):
                super()._save_checkpoint(model, trial)  # type: ignore[misc]
                self.accelerator.wait_for_everyone()
                if self.args.should_save:
                    described = {"processes": self.args.world_size}
                    checkpoint.seal(self._checkpoints, step, described)
                    checkpoint.tidy(self._checkpoints, self.save_limit)
        finally:
            self._is_saving = False
        self.accelerator.wait_for_everyone()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As TRL's, with tokens a second, into our log and table too."""
        self._add_speed(logs)
        super().log(logs, start_time)  # type: ignore[misc]
        if self.args.should_save:
            step = self.state.global_step
            entry = log.entry_of(logs, step)
            log.append(self.folder / "log.jsonl", entry)
            shown = log.line(self.kind, entry)
            if shown is not None:
                self.show(shown)

    def _add_speed(self, logs: dict[str, float]) -> None:
        counted = self._metrics["train"].get("num_tokens")
        if counted and self.model.training:
            now, tokens = time.monotonic(), float(counted[-1])
            if self._tokens_before:
                done = tokens - self._tokens_before
                logs["tokens_per_s"] = done / max(now - self._time_before, 1e-9)
            self._tokens_before, self._time_before = tokens, now


class SftTrainer(Guarded, trl.SFTTrainer):  # type: ignore[misc]
    """TRL's SFT trainer, guarded."""

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        if "row" not in self._signature_columns:
            self._signature_columns.append("row")

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        self._rows = inputs.pop("row", None)
        prepared: dict[str, Any] = super()._prepare_inputs(inputs)
        return prepared


class RowCollator(DataCollatorForLanguageModeling):  # type: ignore[misc]
    """TRL's collator, which keeps the number of each row."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Pads a batch."""
        batch: dict[str, Any] = super().torch_call(examples)
        batch["row"] = torch.tensor([example["row"] for example in examples])
        return batch


def grpo_trainer_class(config: GrpoConfig) -> type[Any]:
    """TRL's GRPO trainer, or that of `lmmixup-kernels`, guarded.

    Args:
        config: `kernels` and whether it trains on a CPU.
    """
    base = _kernel_trainer(config) or trl.GRPOTrainer

    class GrpoTrainer(Guarded, base):  # type: ignore[misc, valid-type]
        """GRPO trainer whose batches know their rows."""

        log_probs_by = base.__module__.split(".")[0]

        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            self._rows = torch.tensor([example["row"] for example in inputs])
            made: dict[str, Any] = super()._generate_and_score_completions(inputs)
            made["row"] = self._rows.to(self.accelerator.device)
            return made

        def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
            prepared: dict[str, Any] = super()._prepare_inputs(generation_batch)
            self._rows = prepared.get("row")
            return prepared

        def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
            is_mixed = self.args.bf16 and self.accelerator.device.type == "cpu"
            try:
                with in_bf16(self.model) if is_mixed else contextlib.nullcontext():
                    return super()._generate_single_turn(*args, **kwargs)
            except RuntimeError as error:
                if "probability tensor" not in str(error):
                    raise
                rows = [self._rows] if self.model.training else []
                raise self._not_finite("probability of an output", math.nan, rows) from error

    return GrpoTrainer


def _kernel_trainer(config: GrpoConfig) -> type[Any] | None:
    has_gpu = torch.cuda.is_available() and not config.cpu
    if config.kernels == "off" or (config.kernels == "auto" and not has_gpu):
        return None
    try:
        from lmmixup_kernels.trl import GRPOTrainer  # noqa: PLC0415
    except ImportError:
        return None
    trainer: type[Any] = GRPOTrainer
    return trainer
