"""The combined reward inside TRL's own GRPO trainer: columns, metrics, unscored outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from lmmixup import library
from lmmixup.contract import render
from lmmixup.pool import open_pool
from lmmixup.rewards import RewardConfig, Rewards, group_advantages

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

TEXT = "merge these two three four records into one"
WORDS = ["<s>", "</s>", "<unk>", *TEXT.split(" ")]
GOOD = "Q: What is a lemma?\nA: A lemma is a proof step to a theorem, by induction."
BAD = "Q: rain?\nA: sunny weather"
OUTPUTS = [render("t", GOOD), render("t", BAD), "no tags", render("t", "no form")]


@pytest.fixture(scope="module")
def rewards(tmp_path_factory: pytest.TempPathFactory) -> Rewards:
    rows = [
        {"prompt": "", "completion": f"{GOOD} {n}" if n % 2 else f"{BAD} {n}", "rating": n % 2 * 4}
        for n in range(80)
    ]
    folder = tmp_path_factory.mktemp("rewards") / "lib"
    config = library.LibraryConfig(dim=64, text="completion")
    library.run(open_pool(pa.Table.from_pylist(rows)), config, output=folder)
    return Rewards(RewardConfig(library=folder, max_reward_errors=10))


def policy() -> tuple[Any, Any]:
    """A drawn Llama of one layer over a few words, and its tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        pad_token="</s>",
    )  # fmt: skip
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config), tokenizer


def test_a_step_of_grpo(rewards: Rewards, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def prepared(completions: list[str], **columns: Any) -> list[float | None]:
        """Rewards other texts than a drawn policy writes; one output loses its reference."""
        columns["reference"] = list(columns["reference"])
        columns["reference"][1] = None
        texts = (OUTPUTS * 2)[: len(completions)]
        seen["rewards"] = rewards.combined(texts, **columns)
        seen["task_type"] = columns["task_type"]
        return seen["rewards"]

    class Watched(trl.GRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            made = super()._generate_and_score_completions(inputs)
            seen["advantages"] = made["advantages"].numpy()
            return made

    model, tokenizer = policy()
    rows = [
        {"prompt": "merge these two records", "task_type": "qa", "reference": GOOD},
        {"prompt": "merge these three records", "task_type": "cs", "reference": GOOD},
    ]
    config = trl.GRPOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=8, num_generations=4,
        max_completion_length=4, max_steps=1, logging_steps=1, report_to="none", use_cpu=True,
        bf16=False, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = Watched(
        model=model, processing_class=tokenizer, reward_funcs=prepared, args=config,
        train_dataset=datasets.Dataset.from_list(rows),
    )  # fmt: skip
    trainer.train()

    assert sorted(seen["task_type"]) == ["cs"] * 4 + ["qa"] * 4
    assert [reward is None for reward in seen["rewards"]] == [False, True] + [False] * 6
    assert rewards.num_errors == 1
    ours = group_advantages(seen["rewards"], np.arange(8) // 4)
    np.testing.assert_allclose(seen["advantages"], ours.advantage_N, atol=1e-4)
    assert seen["advantages"][1] == 0
    logged = trainer.state.log_history[0]
    assert logged["reward/unscored"] == pytest.approx(1 / 8)
    assert {"reward/quality", "reward/alignment", "reward/format"} <= set(logged)
    scored = [reward for reward in seen["rewards"] if reward is not None]
    assert logged["reward"] == pytest.approx(np.mean(scored), abs=1e-5)


def test_trl_takes_the_combined_reward_as_it_is(rewards: Rewards, tmp_path: Path) -> None:
    model, tokenizer = policy()
    rows = [{"prompt": "merge these two records", "task_type": "qa", "reference": GOOD}]
    config = trl.GRPOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=4, num_generations=4,
        max_completion_length=4, max_steps=1, logging_steps=1, report_to="none", use_cpu=True,
        bf16=False, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = trl.GRPOTrainer(
        model=model, processing_class=tokenizer, reward_funcs=rewards.combined, args=config,
        train_dataset=datasets.Dataset.from_list(rows),
    )  # fmt: skip
    trainer.train()
    logged = trainer.state.log_history[0]
    assert logged["rewards/combined/mean"] == 0  # a drawn policy writes no tags
    assert logged["frac_reward_zero_std"] == 1
