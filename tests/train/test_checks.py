"""What is wrong is said in one line, before anything is trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_mixer
from training import invoke

from lmmixup.errors import ArgumentError, DataError, LmmixupError

RECORDS = Path(__file__).resolve().parents[2] / "examples" / "rated.jsonl"

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of this is said before weights are loaded."""
    from transformers import AutoModelForCausalLM

    def load(*args: Any, **kwargs: Any) -> None:
        pytest.fail("weights were loaded")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", load)


@pytest.fixture
def paths(model: Path, mixture: Path, library_folder: Path) -> dict[str, Any]:
    return {"model": model, "data": mixture, "library": library_folder}


def refused(kind: str, output: Path, paths: dict[str, Any], *options: str) -> str:
    """The one line that it says; nothing may be left behind."""
    result = invoke(kind, output, paths, *options)
    assert isinstance(result.exception, LmmixupError), result.output
    message = str(result.exception)
    assert "\n" not in message
    assert not (output / kind).exists()
    assert not (output / f".{kind}.partial").exists()
    return message


def altered(model: Path, folder: Path, **changes: Any) -> Path:
    """The model with keys of its tokenizer's config changed; `None` removes one."""
    shutil.copytree(model, folder)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return folder


def test_models_that_cannot_be_asked(paths: dict[str, Any], tmp_path: Path) -> None:
    out, model = tmp_path / "out", paths["model"]
    bare = altered(model, tmp_path / "bare", chat_template=None)
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    assert "has no chat template" in refused("sft", out, {**paths, "model": bare})
    said = refused("sft", tmp_path / "o2", paths, "--pad-token", "<none>")
    assert "expected a token of" in said
    tags = altered(model, tmp_path / "tags", extra_special_tokens=["<think>"])
    assert "loses the tags" in refused("sft", tmp_path / "o2", {**paths, "model": tags})
    more = altered(model, tmp_path / "more", extra_special_tokens=["<more>"])
    said = refused("sft", tmp_path / "o2", {**paths, "model": more})
    assert "its tokenizer has 1,025 tokens, but the model has vectors for 1,024" in said


def test_tokenizers_without_ends() -> None:
    from lmmixup.train.model import check_tokenizer

    tokenizer = tiny_mixer.make_tokenizer(RECORDS, 512)
    check_tokenizer(tokenizer, "m")
    tokenizer.pad_token = None
    with pytest.raises(DataError, match=r"name one with --pad-token, such as '<\|im_end\|>'"):
        check_tokenizer(tokenizer, "m")
    tokenizer.eos_token = None
    with pytest.raises(DataError, match="no end-of-sequence token"):
        check_tokenizer(tokenizer, "m")


def test_models_that_are_none(paths: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    said = refused("sft", out, {**paths, "model": tmp_path / "empty"})
    assert "expected a model folder of transformers" in said
    assert "no tokenizer could be loaded" in refused("sft", out, {**paths, "model": "no/such"})
    assert "none.gguf: not found" in refused("sft", out, {**paths, "model": "none.gguf"})
    assert "name the model" in refused("sft", out, {"data": paths["data"]})


def test_prompts_over_the_context(paths: dict[str, Any], tmp_path: Path) -> None:
    said = refused("grpo", tmp_path / "out", paths, "--max-output-tokens", "2048")
    assert "but its context is 2,048; hint: lower the token limits" in said
    said = refused(
        "sft", tmp_path / "out", paths, "--max-sequence-tokens", "300", "--too-long", "refuse"
    )
    assert "samples are above max_sequence_tokens" in said


def test_rewards_that_cannot_work(paths: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    small = ("--batch-size", "2", "--micro-batch-size", "8")
    said = refused("grpo", out, {"model": paths["model"], "data": paths["data"]}, *small)
    assert "name the library of the rewards with --library" in said
    shutil.copytree(paths["library"], tmp_path / "libs" / "mcq")
    said = refused("grpo", out, {**paths, "library": tmp_path / "libs"}, *small)
    assert "has no library for the task type qa of the data" in said
    assert "expected a library" in refused("grpo", out, {**paths, "library": tmp_path}, *small)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("sft", ("--set", "trl.adam_beta=1"), "SFTConfig has no such argument; did you mean 'adam"),
        ("sft", ("--set", "trl.learning_rate=1"), "set by an option of its own"),
        ("sft", ("--report-to", "tensorbord"), "did you mean 'tensorboard'?"),
        ("sft", ("--batch-size", "32"), "24 samples do not fill one batch of 32"),
        ("sft", ("--zero", "3", "--lora-rank", "2", "--offload"), "LoRA under ZeRO-3 with offload"),
        ("sft", ("--lora-rank", "2", "--lora-targets", "lm_head"), "TRL would never train"),
        ("sft", ("--set", "trl.save_only_model=true"), "could not go on as it was"),
        ("sft", ("--zero", "2", "--precision", "bf16"), "ZeRO on a CPU trains in fp32 only"),
        ("sft", ("--gpus", "2"), "--gpus goes neither with --cpu"),
        (
            "sft",
            ("--no-cpu", "--processes", "2"),
            "2 processes need a GPU each, this machine has 0",
        ),
        ("sft", ("--no-cpu", "--zero", "2"), "there is no GPU; hint: --cpu"),
        ("grpo", ("--no-cpu", "--rollouts", "vllm-server"), "needs vllm"),
        ("grpo", ("--rollouts", "vllm-server"), "need a GPU, but cpu is set"),
    ],
)
def test_settings_that_do_not_go_together(
    kind: str, options: tuple[str, ...], message: str, paths: dict[str, Any], tmp_path: Path
) -> None:
    assert message in refused(kind, tmp_path / "out", paths, *options)


def test_what_trl_refuses_is_one_line(paths: dict[str, Any], tmp_path: Path) -> None:
    given = ("--set", "trl.steps_per_generation=2", "--batch-size", "2", "--micro-batch-size", "8")
    result = invoke("grpo", tmp_path / "out", paths, *given)
    assert isinstance(result.exception, ArgumentError)
    assert "TRL's GRPOConfig refuses the settings: 'generation_batch_size' and" in str(
        result.exception
    )


def test_kernels_that_are_not_there(
    paths: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmmixup.train import checks

    there = checks.find_spec
    monkeypatch.setattr(
        checks, "find_spec", lambda name: None if name == "lmmixup_kernels" else there(name)
    )
    said = refused("grpo", tmp_path / "o", paths, "--kernels", "on", "--batch-size", "2",
                   "--micro-batch-size", "8")  # fmt: skip
    assert "--kernels on needs the package lmmixup-kernels" in said


def test_trl_knows_every_argument() -> None:
    import dataclasses

    import trl

    from lmmixup.train import GrpoConfig, SftConfig
    from lmmixup.train.arguments import values_of

    known = {field.name for field in dataclasses.fields(trl.GRPOConfig)}
    for rollouts in ("transformers", "vllm-server", "vllm-colocate"):
        values = values_of(GrpoConfig(rollouts=rollouts), Path(), on_cpu=False)
        assert values.keys() <= known
        assert values.get("vllm_mode") == {
            "vllm-server": "server",
            "vllm-colocate": "colocate",
        }.get(rollouts)
        assert values.get("use_vllm", False) == (rollouts != "transformers")
    assert values["vllm_max_model_length"] == 4800
    known = {field.name for field in dataclasses.fields(trl.SFTConfig)}
    assert values_of(SftConfig(), Path(), on_cpu=False).keys() <= known


@pytest.mark.parametrize(("micro", "processes"), [(1, 1), (2, 1), (6, 1), (1, 2), (3, 4)])
def test_whole_groups_are_evaluated(micro: int, processes: int) -> None:
    from lmmixup.train import GrpoConfig
    from lmmixup.train.arguments import values_of

    config = GrpoConfig(micro_batch_size=micro, processes=processes, batch_size=12)
    values = values_of(config, Path(), on_cpu=True)
    assert values["per_device_train_batch_size"] == micro
    assert micro <= values["per_device_eval_batch_size"] < micro + 4
    assert values["per_device_eval_batch_size"] * processes % 4 == 0


def test_an_output_that_cannot_be_made(paths: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = invoke("sft", tmp_path / "file" / "out", paths)
    assert isinstance(result.exception, LmmixupError)
    assert "was not written" in str(result.exception)


def test_the_plan_counts_weights(model: Path, mixture: Path) -> None:
    from lmmixup.train import GrpoConfig, SftConfig, plan

    tied = plan(SftConfig(model=str(model), processes=2))
    assert tied.num_parameters == tied.num_trained == 51_488
    by_zero = {(one.zero, one.offload): one for one in tied.layouts}
    # 2 bytes of weight, 2 of gradient, 12 of optimiser; ZeRO-2 halves the latter, ZeRO-3 all.
    assert by_zero[2, False].optimizer == pytest.approx(51_488 * 12 / 2 / 1e9)
    assert by_zero[2, False].weights == pytest.approx(51_488 * 2 / 1e9)
    # ZeRO-3 gathers the weights of a small model and keeps them so.
    assert by_zero[3, False].weights == pytest.approx(51_488 * 2 * (1 / 2 + 1) / 1e9)
    assert by_zero[3, True].weights == pytest.approx(51_488 * 2 / 1e9)
    assert by_zero[3, True].optimizer == 0
    # Moments, fp32 weights and fp32 gradients; ZeRO-3 has the weights there too.
    assert by_zero[2, True].host == pytest.approx(51_488 * 16 / 2 / 1e9)
    assert by_zero[3, True].host == pytest.approx(51_488 * 18 / 2 / 1e9)
    # ZeRO-2 sends gradients in two buckets of 200 million numbers, whatever the model.
    assert by_zero[2, False].gradients == pytest.approx((51_488 + 2 * 2 * 200e6) / 1e9)
    grpo = plan(GrpoConfig(model=str(model)))
    # The model that training began with stands beside it.
    assert grpo.layouts[0].weights == pytest.approx(2 * 51_488 * 4 / 1e9)
    assert grpo.layouts[0].rollout > 0
    adapters = plan(SftConfig(model=str(model), lora_rank=2))
    assert adapters.num_trained < adapters.num_parameters / 5


def test_the_plan_of_a_cpu_is_in_fp32_and_without_offload(model: Path) -> None:
    from lmmixup.train import SftConfig, plan

    one, two, three = plan(SftConfig(model=str(model), processes=2, cpu=True)).layouts
    assert (one.zero, two.zero, three.zero) == (0, 2, 3)
    assert one.weights == one.gradients == two.weights == pytest.approx(51_488 * 4 / 1e9)
    assert two.gradients == pytest.approx(51_488 * 4 * (1 / 2 + 1) / 1e9)
    assert two.optimizer == three.optimizer == pytest.approx(51_488 * 12 / 2 / 1e9)
    rounded = plan(SftConfig(model=str(model), cpu=True, precision="bf16")).layouts
    assert [one.zero for one in rounded] == [0]


def test_the_plan_as_a_table(model: Path) -> None:
    from click.testing import CliRunner

    from lmmixup.cli import cli

    given = ["train", "plan", "sft", "--model", str(model)]
    shown = CliRunner().invoke(cli, [*given, "--cpu"]).output
    assert "GB of each process, estimated" in shown
    assert "main memory" not in shown
    assert "offload" not in shown
    shown = CliRunner().invoke(cli, [*given, "--gpus", "2"]).output
    assert "GB of each GPU, estimated" in shown
    assert "3 offload" in shown
