"""GRPO in one process, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING, Any

import pytest
import varied_rewards
from training import invoke, stop_after

from lmmixup.errors import RewardError, TrainError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

SHORT = ("--max-steps", "4", "--batch-size", "2", "--micro-batch-size", "8",
         "--learning-rate", "0.01", "--lr-scheduler", "constant", "--warmup", "0",
         "--save-every", "2")  # fmt: skip


@pytest.fixture
def varied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewards that differ within a group."""
    from lmmixup.rewards import Rewards

    monkeypatch.setattr(Rewards, "combined", varied_rewards.varied(Rewards.combined))


@pytest.mark.usefixtures("varied")
def test_everything_is_logged_and_resumes(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two updates a round of outputs, the second of them with weights that have moved on.
    rounds = (*SHORT, "--rollout-batch-size", "4", "--micro-batch-size", "4")
    whole = train("grpo", "whole", *rounds)
    assert len(whole) == 4
    wanted = {"reward", "reward/quality", "reward/quality_spread", "reward/alignment",
              "reward/format", "reward/format_spread", "reward/unscored", "reward_std",
              "frac_reward_zero_std", "completions/mean_length", "kl", "entropy",
              "clip_ratio/region_mean", "grad_norm"}  # fmt: skip
    assert wanted <= set(whole[0])
    assert "tokens_per_s" in whole[2]
    assert whole[0]["reward/format_spread"] > 0
    assert whole[0]["grad_norm"] > 0
    assert whole[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert whole[-1]["kl"] > 0
    manifest = json.loads((tmp_path / "whole" / "grpo" / "manifest.json").read_text())
    assert manifest["config"]["beta"] == 0.01
    assert manifest["figures"]["log_probs_by"] == "trl"
    assert manifest["figures"]["rewards"]["mapping"] == "p_ge_4"

    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(RuntimeError, match="stopped"):
            train("grpo", "out", *rounds)
    resumed = train("grpo", "out", *rounds)
    for one, other in zip(whole, resumed, strict=True):
        assert one.keys() - {"tokens_per_s"} == other.keys() - {"tokens_per_s"}
        # Rewards and lengths are in the log of the update that begins a round.
        for key in one.keys() & {"reward", "entropy", "grad_norm", "completions/mean_length", "kl"}:
            assert other[key] == pytest.approx(one[key], rel=1e-4, abs=1e-6), key


def test_small_batches_that_add_up_are_one_large_one(
    train: Callable[..., Any], varied: None
) -> None:
    once = train("grpo", "once", *SHORT, "--max-steps", "2")
    again = train("grpo", "again", *SHORT, "--max-steps", "2")
    speed = {"tokens_per_s": None, "step_time": None}
    assert [entry | speed for entry in again] == [entry | speed for entry in once]
    parts = train("grpo", "parts", *SHORT, "--max-steps", "2", "--micro-batch-size", "1")
    for one, other in zip(once, parts, strict=True):
        for key in ("reward", "entropy", "grad_norm", "completions/mean_length"):
            assert other[key] == pytest.approx(one[key], rel=1e-3, abs=1e-6), key


def test_the_kernels_head_makes_the_same_curve(
    train: Callable[..., Any], varied: None, tmp_path: Path
) -> None:
    theirs = train("grpo", "theirs", *SHORT, "--max-steps", "3", "--kernels", "off")
    ours = train("grpo", "ours", *SHORT, "--max-steps", "3", "--kernels", "on")
    manifest = json.loads((tmp_path / "ours" / "grpo" / "manifest.json").read_text())
    assert manifest["figures"]["log_probs_by"] == "lmmixup_kernels"
    assert theirs[0]["grad_norm"] > 0
    for one, other in zip(ours, theirs, strict=True):
        for key in ("loss", "reward", "entropy", "grad_norm", "kl", "completions/mean_length"):
            assert one[key] == pytest.approx(other[key], rel=1e-3, abs=1e-6), key


@pytest.mark.parametrize("loss_type", ["dapo", "bnpo", "dr_grpo"])
@pytest.mark.usefixtures("varied")
def test_other_losses_train_and_score_once_a_round(
    loss_type: str, train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmmixup.rewards import Rewards

    before, sizes = Rewards.look, []

    def look(self: Any, completions: Sequence[Any], **columns: Any) -> Any:
        sizes.append(len(completions))
        return before(self, completions, **columns)

    monkeypatch.setattr(Rewards, "look", look)
    log = train("grpo", "out", *SHORT, "--max-steps", "2", "--micro-batch-size", "2",
                "--loss-type", loss_type)  # fmt: skip
    assert [entry["grad_norm"] > 0 for entry in log] == [True, True]
    # The check before training, then all outputs of an update at once.
    assert sizes[1:] == [8, 8]


def test_a_reward_that_fails_is_said_before_training(
    model: Path, mixture: Path, library_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from lmmixup.rewards import Rewards

    def fails(self: Any, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        return [None for _ in completions]

    monkeypatch.setattr(Rewards, "combined", fails)
    paths = {"model": model, "data": mixture, "library": library_folder}
    result = invoke("grpo", tmp_path / "out", paths, *SHORT)
    assert isinstance(result.exception, RewardError)
    assert "cannot score 8 of 8 of the data's own targets" in str(result.exception)


@pytest.mark.usefixtures("varied")
def test_rewards_that_fail_later_end_it(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmmixup.rewards import Rewards

    before, calls = Rewards.look, iter(range(100))

    def look(self: Any, *args: Any, **columns: Any) -> Any:
        parts, why = before(self, *args, **columns)
        return parts, why if next(calls) < 2 else {0: "the embedder is gone"}

    monkeypatch.setattr(Rewards, "look", look)
    with pytest.raises(RewardError, match=r"at most 0 may .* because the embedder is gone") as said:
        train("grpo", "out", *SHORT)
    assert "\n" not in str(said.value)


def test_weights_that_are_no_numbers_are_said_with_their_batch(
    train: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    broken = Path(copytree(model, tmp_path / "broken"))
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], float("nan"))
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainError, match="probability of an output of step 1 is nan; the ids"):
        train("grpo", "out", *SHORT, model=broken)
    said = json.loads((tmp_path / "out/.grpo.partial/work/nan_batch.json").read_text())
    assert len(said["ids"]) == 2


def test_groups_are_evaluated_whole(train: Callable[..., Any], tmp_path: Path) -> None:
    """A micro-batch of less than a group trains; evaluation takes whole groups."""
    train("grpo", "out", *SHORT, "--max-steps", "2", "--micro-batch-size", "1", "--eval-every", "2",
          "--limit", "2")  # fmt: skip
    text = (tmp_path / "out" / "grpo" / "log.jsonl").read_text()
    evaluations = [entry for entry in map(json.loads, text.splitlines()) if "eval_reward" in entry]
    assert [entry["step"] for entry in evaluations] == [2]
