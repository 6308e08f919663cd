"""What is wrong with a real model, SmolLM2-135M-Instruct, is said without its weights.

The folder has none: whatever would load them fails.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import smollm2
from click.testing import CliRunner
from training import invoke

from lmmixup.cli import cli
from lmmixup.errors import LmmixupError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its tokenizer and config as transformers writes them."""
    from transformers import AutoConfig, AutoTokenizer

    file = smollm2.weights()
    folder = tmp_path_factory.mktemp("smollm2")
    for kind in (AutoConfig, AutoTokenizer):
        kind.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    return folder


@pytest.fixture
def paths(bare: Path, mixture: Path, library_folder: Path) -> dict[str, Any]:
    return {"model": bare, "data": mixture, "library": library_folder}


def refused(kind: str, output: Path, paths: dict[str, Any], *options: str) -> str:
    result = invoke(kind, output, paths, *options)
    assert isinstance(result.exception, LmmixupError), result.output
    assert "\n" not in str(result.exception)
    assert not (output / kind).exists()
    return str(result.exception)


def without(bare: Path, folder: Path, name: str) -> Path:
    """The model whose tokenizer lacks something."""
    shutil.copytree(bare, folder)
    (folder / f"{name}.jinja").unlink(missing_ok=True)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: None}))
    return folder


def test_its_tokenizer_is_read_before_anything(paths: dict[str, Any], tmp_path: Path) -> None:
    bare = paths["model"]
    mute = without(bare, tmp_path / "mute", "chat_template")
    assert "has no chat template" in refused("sft", tmp_path / "o", {**paths, "model": mute})
    ragged = without(bare, tmp_path / "ragged", "pad_token")
    said = refused("sft", tmp_path / "o", {**paths, "model": ragged})
    assert "has no padding token; hint: name one with --pad-token, such as '<|im_end|>'" in said


def test_its_context_and_its_tokens(paths: dict[str, Any], tmp_path: Path) -> None:
    small = ("--batch-size", "2", "--micro-batch-size", "8")
    said = refused("grpo", tmp_path / "o", paths, *small, "--max-output-tokens", "8000")
    assert "but its context is 8,192; hint: lower the token limits" in said
    said = refused("grpo", tmp_path / "o", paths, "--max-prompt-tokens", "150")
    assert "no sample is left to train on: all 24 are above max_prompt_tokens" in said
    other = tmp_path / "packed"
    given = ["tokenize", str(paths["data"] / "cold_start.parquet"), "--tokenizer",
             str(paths["model"]), "-o", str(other), "--max-row-tokens", "2048", "-q"]  # fmt: skip
    assert CliRunner().invoke(cli, given).exit_code == 0
    manifest = json.loads((other / "manifest.json").read_text())
    assert "tokenizer_sha256" in manifest["figures"]
    changed = shutil.copytree(paths["model"], tmp_path / "changed")
    tokenizer = json.loads((changed / "tokenizer.json").read_text())
    tokenizer["model"]["merges"].pop()
    (changed / "tokenizer.json").write_text(json.dumps(tokenizer))
    said = refused("sft", tmp_path / "o", {**paths, "data": other, "model": changed})
    assert "was packed with another tokenizer than that of" in said


def test_its_rewards_and_its_layout(paths: dict[str, Any], tmp_path: Path) -> None:
    small = ("--batch-size", "2", "--micro-batch-size", "8")
    shutil.copytree(paths["library"], tmp_path / "libs" / "mcq")
    said = refused("grpo", tmp_path / "o", {**paths, "library": tmp_path / "libs"}, *small)
    assert "has no library for the task type qa of the data" in said
    lora = ("--lora-rank", "8", "--zero", "3", "--offload")
    assert "LoRA under ZeRO-3 with offload" in refused("sft", tmp_path / "o", paths, *lora)
