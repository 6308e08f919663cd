"""TRL's trainers with whole checkpoints, a stop at NaN and our log.

This module imports torch: only a process that trains loads it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import torch
import trl
from transformers import TrainerCallback
from trl.kernels import chunked_logprob
from trl.trainer import utils as trl_head
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from lmmixup.errors import FileError, TrainError
from lmmixup.train import checkpoint, log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lmmixup.train.config import GrpoConfig

NAN_FILE = "nan_batch.json"


def score_targets_alone() -> None:
    """Has TRL's fused head score only the tokens that the loss is on, on a CPU too.

    Where there is no Triton, TRL 1.16 scores every position and forgets those of the prompt, so
    that the shapes stay the same for accelerators that compile. Torch on a CPU compiles nothing,
    and the head is most of a small model: with prompts of 480 tokens and outputs of 90 it is five
    times the work. What comes out is the same.
    """
    trl_head._use_triton = _compacts


def _compacts(device: torch.device) -> bool:
    has_triton: bool = chunked_logprob._use_triton(device)
    return has_triton or device.type == "cpu"


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
    model: Any
    state: Any
    _metrics: Any
    _rows: torch.Tensor | None = None
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
        self._time_before = time.monotonic()

    def _send_telemetry(self) -> None:
        """Sends nothing: TRL would report each training."""

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As TRL's; a loss that is no finite number ends the training."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)  # type: ignore[misc]
        if not torch.isfinite(loss).all():
            raise self._not_finite(loss)
        return loss

    def _not_finite(self, loss: torch.Tensor) -> TrainError:
        rows = [] if self._rows is None else sorted(set(self._rows.flatten().tolist()))
        ids = [self.sample_ids[row] for row in rows]
        step = self.state.global_step + 1
        saved = self.folder / NAN_FILE
        saved.write_text(json.dumps({"step": step, "loss": str(loss.item()), "ids": ids}) + "\n")
        return TrainError(
            f"the loss of step {step} is {loss.item()}; the ids of its batch are in {saved}; hint: "
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
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                described = {"processes": self.args.world_size}
                checkpoint.seal(self._checkpoints, step, described)
                checkpoint.tidy(self._checkpoints, self.save_limit)
        except Exception as error:
            if _lost_another(error):
                raise
            # torch and safetensors tell a full disk by errors of their own kinds.
            raise self._save_failed(step, error) from error
        finally:
            self._is_saving = False
        self.accelerator.wait_for_everyone()

    def _save_failed(self, step: int, error: Exception) -> FileError:
        last = checkpoint.last_whole(self._checkpoints)
        goes_on = f"{last.name} is whole" if last else "there is no earlier checkpoint"
        why = str(error).split("\n", maxsplit=1)[0] or type(error).__name__
        free = shutil.disk_usage(self.folder).free / 1e9
        return FileError(
            f"{self._checkpoints}: checkpoint {step} could not be saved: {why} ({free:.2f} GB are "
            f"free there); {goes_on}; hint: make room on the disk, then the same command continues"
        )

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


def _lost_another(error: Exception) -> bool:
    """Whether an error is that of a collective whose other side is gone, by NCCL or gloo."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)


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
            made: dict[str, Any] = super()._generate_and_score_completions(inputs)
            rows = [example["row"] for example in inputs]
            made["row"] = torch.tensor(rows, device=self.accelerator.device)
            return made

        def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
            prepared: dict[str, Any] = super()._prepare_inputs(generation_batch)
            self._rows = prepared.get("row")
            return prepared

        def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
            is_mixed = self.args.bf16 and self.accelerator.device.type == "cpu"
            with in_bf16(self.model) if is_mixed else contextlib.nullcontext():
                return super()._generate_single_turn(*args, **kwargs)

    return GrpoTrainer


@contextlib.contextmanager
def in_bf16(model: torch.nn.Module) -> Iterator[None]:
    """Rounds the weights to bf16 for a while; then they are what they were.

    Mixed precision rounds them for every forward pass, which is once a token where outputs are
    written: on a CPU that takes twice the time of the pass itself.
    """
    kept = [(weight, weight.data) for weight in model.parameters()]
    try:
        for weight, data in kept:
            weight.data = data.bfloat16()
        yield
    finally:
        for weight, data in kept:
            weight.data = data


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


class Started(TrainerCallback):  # type: ignore[misc]
    """Shows the table's heading when training begins."""

    def __init__(self, kind: str, show: Callable[[str], None]) -> None:
        self._kind, self._show = kind, show

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Shows it in the first process."""
        if state.is_world_process_zero:
            self._show(log.heading(self._kind))


class Mended(TrainerCallback):  # type: ignore[misc]
    """Puts right what DeepSpeed 0.19 loads of a universal checkpoint under ZeRO-3.

    It gives all groups of weights the weight decay of the first, norms too, and one counter of
    steps, which then counts an update once for each group.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """After loading, before the first step."""
        adamw = kwargs["optimizer"].optimizer.optimizer  # in accelerate's and ZeRO's
        # transformers makes two groups: with weight decay, and without.
        for group, decay in zip(adamw.param_groups, (args.weight_decay, 0.0), strict=False):
            group["weight_decay"] = decay
        for moments in adamw.state.values():
            moments["step"] = moments["step"].clone()
