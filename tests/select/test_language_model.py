"""Perplexity and IFD by a model: beside the model's own loss, cut, resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_model

from lmmixup.pool import open_pool
from lmmixup.select import SelectConfig, language_model, run

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

WORDS = tiny_model.WORDS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("model"))


def own_loss(folder: Path, before: str, completion: str) -> float:
    """The loss that the model itself computes with the prompt masked."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForCausalLM.from_pretrained(folder)
    head, tail = (
        tokenizer(text, add_special_tokens=False).input_ids for text in (before, completion)
    )
    ids = torch.tensor([head + tail])
    labels = ids.clone()
    labels[0, : len(head)] = -100
    return float(network(ids, labels=labels).loss.detach())


def test_losses_are_the_models_own(model: Path) -> None:
    prompts = ["one two", "three", "four five six seven", ""]
    completions = ["three four", "", "eight nine ten one two three", "five"]
    losses = language_model.LanguageModel(str(model), 64).losses(prompts, completions)
    for row in (0, 2, 3):
        given = own_loss(model, f"<s> {prompts[row]}\n", completions[row])
        alone = own_loss(model, "<s>", completions[row])
        assert losses[row, :2] == pytest.approx([given, alone], abs=1e-5)
    assert np.isnan(losses[1, :2]).all()
    assert losses[:, 2].tolist() == [0, 0, 0, 0]


def test_what_is_too_long_is_cut_and_counted(model: Path) -> None:
    scorer = language_model.LanguageModel(str(model), 16)
    long = "one two three four five " * 6
    losses = scorer.losses([long, "one", long], ["six", long, long])
    assert losses[:, 2].tolist() == [1, 1, 1]
    # 15 words of the prompt are left beside one of the completion.
    cut = " ".join(long.split()[-15:])
    assert losses[0, 0] == pytest.approx(own_loss(model, cut, "six"), abs=1e-5)


def make_pool() -> pa.Table:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS[2:], 8)) for _ in range(20)]
    return pa.table({"prompt": texts, "completion": [*texts[:-1][::-1], ""]})


def test_perplexity_and_ifd_order_records(model: Path, tmp_path: Path) -> None:
    pool = open_pool(make_pool())
    config = SelectConfig(strategy="perplexity", model=str(model), shuffle=False)
    result = run(pool, config, output=tmp_path / "ppl")
    values = pq.read_table(tmp_path / "ppl" / "data.parquet")["perplexity"].to_numpy()
    assert (np.diff(values) <= 0).all()
    assert result.counts["dropped"] == {"no-score": 1}
    ifd = run(pool, config.model_copy(update={"strategy": "ifd"}), output=tmp_path / "ifd")
    values = pq.read_table(tmp_path / "ifd" / "data.parquet")["ifd"].to_numpy()
    assert (np.diff(values) <= 0).all()
    assert (values < 1).all()
    assert ifd.counts["kept"] + ifd.counts["dropped"]["prompt-does-not-help"] == 19


def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "CHUNK", 6)
    calls: list[int] = []
    losses = language_model.LanguageModel.losses

    def stop_at_third(self: Any, prompts: list[str], completions: list[str]) -> Any:
        calls.append(len(prompts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return losses(self, prompts, completions)

    config = SelectConfig(strategy="ifd", model=str(model))
    run(open_pool(make_pool()), config, output=tmp_path / "whole")
    monkeypatch.setattr(language_model.LanguageModel, "losses", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        run(open_pool(make_pool()), config, output=tmp_path / "stopped")
    run(open_pool(make_pool()), config, output=tmp_path / "stopped")
    assert calls == [6, 6, 6, 6, 2]  # the first two chunks were not read again
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "stopped" / path.name).read_bytes(), path.name
