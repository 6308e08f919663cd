"""Presets, recipe files and --set become one config; errors name the key and its neighbour."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lmmixup.cli import cli
from lmmixup.errors import ArgumentError, FileError
from lmmixup.train import PRESETS, GrpoConfig, LaunchConfig, resolve
from lmmixup.train.zero import zero_config

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("yaml", reason="PyYAML is not installed; pip install 'lmmixup[train]'")


@pytest.mark.parametrize("kind", ["sft", "grpo"])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_config(preset: str, kind: str) -> None:
    config = resolve(kind, preset=preset)
    assert config.accumulation >= 1


def test_the_papers_settings() -> None:
    sft, grpo = resolve("sft", preset="paper-1.5b"), resolve("grpo", preset="paper-1.5b")
    assert (sft.learning_rate, sft.warmup, sft.weight_decay) == (2e-5, 0.05, 0.01)
    assert isinstance(grpo, GrpoConfig)
    assert (grpo.learning_rate, grpo.beta, grpo.num_generations) == (1e-6, 0.01, 4)
    assert (grpo.rollout_batch_size, grpo.batch_size, grpo.temperature) == (128, 16, 1)
    assert (grpo.loss_type, grpo.max_prompt_tokens, grpo.processes) == ("grpo", 2400, 2)
    assert grpo.updates_per_rollout == 8
    # 16 prompts with 4 outputs, 2 at once on each of 2 GPUs.
    assert grpo.accumulation == 16


def test_what_is_named_later_wins(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("sft:\n  seed: 1\n  batch_size: 8\n  trl: {adam_beta2: 0.9}\n")
    config = resolve(
        "sft", preset="smoke", recipe=recipe,
        assignments=["seed=2", "trl.adam_beta1=0.8"], given={"epochs": 3.0, "seed": None},
    )  # fmt: skip
    assert (config.seed, config.batch_size, config.epochs, config.cpu) == (2, 8, 3, True)
    assert config.trl == {"adam_beta2": 0.9, "adam_beta1": 0.8}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("learning_rat=1", "unknown key 'learning_rat'; did you mean 'learning_rate'?"),
        ("seed", "expected KEY=VALUE, got 'seed'"),
        ("seed.x=1", "'seed' has no parts"),
        ("seed=-1", "seed: input should be greater than or equal to 0, got -1"),
        ("batch_size=3", None),
        ("zero=1", "zero: input should be 0, 2 or 3, got 1"),
        ("offload=true", "offload needs ZeRO; hint: --zero 2 or --zero 3"),
        ("warmup=[", "--set warmup:1: expected YAML"),
    ],
)
def test_wrong_settings_say_what_is_wrong(assignment: str, message: str | None) -> None:
    if message is None:
        assert resolve("sft", assignments=[assignment]).batch_size == 3
        return
    with pytest.raises(ArgumentError) as caught:
        resolve("sft", assignments=[assignment])
    assert message in str(caught.value)


def test_batches_must_divide() -> None:
    with pytest.raises(ArgumentError, match=r"takes 16 sequences, which is no multiple of .* = 12"):
        resolve("sft", given={"micro_batch_size": 4, "processes": 3})
    with pytest.raises(ArgumentError, match=r"save_every must be a multiple of .* 8, got 100"):
        resolve("grpo", given={"rollout_batch_size": 128})
    with pytest.raises(ArgumentError, match=r"save_every must be a multiple of .* = 3, got 100"):
        resolve("grpo", assignments=["trl.num_iterations=3"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sft: {sed: 1}", "unknown key 'sed'; did you mean 'seed'?"),
        ("stf: {}", "got the key 'stf'; did you mean 'sft'?"),
        ("[1]", "expected sections sft and grpo"),
        ("sft: 3", "expected keys under sft, got 3"),
        ("sft:\n  a: [", ":2: expected YAML"),
    ],
)
def test_wrong_recipes_say_where(text: str, message: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    with pytest.raises(ArgumentError) as caught:
        resolve("sft", recipe=recipe)
    assert message in str(caught.value)
    assert str(recipe) in str(caught.value)


def test_a_missing_recipe(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.yaml: No such file"):
        resolve("sft", recipe=tmp_path / "none.yaml")


def test_the_schema_knows_every_key() -> None:
    printed = json.loads(CliRunner().invoke(cli, ["train", "schema"]).output)
    assert set(printed["properties"]["grpo"]["properties"]) == set(GrpoConfig.model_fields)


@pytest.mark.parametrize(("zero", "offload"), [(2, False), (3, False), (2, True), (3, True)])
def test_zero_configs(zero: int, offload: bool) -> None:
    made = zero_config(LaunchConfig.model_validate({"zero": zero, "offload": offload}))
    assert made is not None
    assert made["zero_optimization"]["stage"] == zero
    assert ("offload_optimizer" in made["zero_optimization"]) == offload
    assert ("offload_param" in made["zero_optimization"]) == (offload and zero == 3)
    assert "train_batch_size" not in made
    assert zero_config(LaunchConfig()) is None
