"""Rows of `lmmixup tokenize` train as their samples do one by one, or are refused."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from training import invoke, read_log

from lmmixup.cli import cli
from lmmixup.contract import prompt_ids
from lmmixup.errors import ArgumentError, DataError, FileError
from lmmixup.train import SftConfig, open_data, open_mixture

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

STEPS = ("--max-steps", "2", "--epochs", "2", "--learning-rate", "0.003", "--warmup", "0")


def tokenize(mixture: Path, model: Path, output: Path, *options: str) -> Path:
    given = ["tokenize", str(mixture / "cold_start.parquet"), "--tokenizer", str(model), "-o",
             str(output), "--max-row-tokens", "2048", "-q", *options]  # fmt: skip
    result = CliRunner().invoke(cli, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return output


@pytest.fixture(scope="module")
def packed(mixture: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokenize(mixture, model, tmp_path_factory.mktemp("tokens") / "packed")


@pytest.fixture(scope="module")
def single(mixture: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokenize(
        mixture, model, tmp_path_factory.mktemp("tokens") / "single", "--packing", "none"
    )


def sft(out: Path, model: Path, data: Path, num_rows: int) -> list[dict[str, Any]]:
    """A training of which each update takes all rows."""
    rows = ("--batch-size", str(num_rows), "--micro-batch-size", "1")
    result = invoke("sft", out, {"model": model, "data": data}, *STEPS, *rows, "-q")
    if result.exception is not None:
        raise result.exception
    return read_log(out / "sft" / "log.jsonl")


def test_a_packed_row_trains_as_its_samples(
    packed: Path, single: Path, model: Path, tmp_path: Path
) -> None:
    num_rows = open_data(packed, "sft").num_samples
    assert num_rows == 5
    one = sft(tmp_path / "packed", model, packed, num_rows)
    other = sft(tmp_path / "single", model, single, 24)
    for key in ("loss", "grad_norm", "num_tokens"):
        expected = [entry[key] for entry in other]
        assert [entry[key] for entry in one] == pytest.approx(expected, rel=1e-5), key
    manifest = json.loads((tmp_path / "packed" / "sft" / "manifest.json").read_text())
    assert manifest["counts"]["input"] == manifest["counts"]["kept"] == num_rows
    shard = next(name for name in manifest["inputs"] if name["path"].endswith(".arrow"))
    card = (tmp_path / "packed" / "sft" / "README.md").read_text()
    assert shard["sha256"] in card
    assert "chats that `lmmixup tokenize` packed" in card


def test_samples_are_asked_as_the_contract_asks(mixture: Path, single: Path, model: Path) -> None:
    from datasets import load_from_disk
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    samples = open_mixture(mixture, "sft").samples()
    rows = {tuple(row["input_ids"]) for row in load_from_disk(str(single))}
    for sample in samples:
        target = tokenizer(sample.target, add_special_tokens=False)["input_ids"]
        ending = tokenizer("<|im_end|>\n", add_special_tokens=False)["input_ids"]
        assert (*prompt_ids(sample.record, tokenizer), *target, *ending) in rows


def test_attention_across_samples_is_refused(
    packed: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import masking_utils

    monkeypatch.setattr(masking_utils, "find_packed_sequence_indices", lambda _positions: None)
    with pytest.raises(DataError, match="samples of a packed row see one another"):
        sft(tmp_path / "out", model, packed, 5)


def test_another_tokenizer_or_template_is_refused(
    packed: Path, model: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(model, tmp_path / "other")
    file = other / "tokenizer.json"
    parts = json.loads(file.read_text())
    file.write_text(json.dumps({**parts, "padding": None, "truncation": None}))
    open_data(packed, "sft")._check_tokenizer(str(other))  # type: ignore[union-attr]
    parts["added_tokens"].pop()
    file.write_text(json.dumps(parts))
    with pytest.raises(DataError, match="packed with another tokenizer than that of"):
        sft(tmp_path / "out", other, packed, 5)
    asked = shutil.copytree(model, tmp_path / "asked")
    (asked / "chat_template.jinja").write_text(
        (model / "chat_template.jinja").read_text() + "{# other #}"
    )
    with pytest.raises(DataError, match="packed with another template than that of"):
        sft(tmp_path / "out", asked, packed, 5)
    assert not (tmp_path / "out" / ".sft.partial").exists()


def test_a_tokenizer_that_transformers_reads_in_its_own_way(packed: Path, model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    config = SftConfig(model=str(model))
    open_data(packed, "sft").kept(tokenizer, config)
    tokenizer.backend_tokenizer.pre_tokenizer = None
    with pytest.raises(DataError, match="writes other ids than its tokenizer"):
        open_data(packed, "sft").kept(tokenizer, config)


def test_rows_that_cannot_be_used(packed: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"tokens, at most 100 are allowed; hint: --max-sequence-tokens"
    ):
        paths = {"model": model, "data": packed}
        raise invoke("sft", tmp_path / "o", paths, "--max-sequence-tokens", "100").exception  # type: ignore[misc]
    with pytest.raises(ArgumentError, match="packed rows have no validation part"):
        raise invoke("sft", tmp_path / "o", paths, "--eval-every", "2").exception  # type: ignore[misc]
    with pytest.raises(ArgumentError, match="needs a MIXTURE folder, not packed rows"):
        open_data(packed, "grpo")
    broken = shutil.copytree(packed, tmp_path / "broken")
    (shard,) = broken.glob("*.arrow")
    shard.write_bytes(shard.read_bytes()[:-8])
    with pytest.raises(DataError, match="is not the shard that the manifest"):
        open_data(broken, "sft").inputs()
    (broken / "manifest.json").unlink()
    with pytest.raises(FileError, match="no manifest of `lmmixup tokenize`"):
        open_data(broken, "sft")
