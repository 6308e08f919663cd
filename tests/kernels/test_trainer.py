"""The drop-in for TRL: the same training with and without it, on a tiny model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from pathlib import Path

trl = pytest.importorskip("trl")
transformers = pytest.importorskip("transformers")

from lmmixup_kernels.trl import GRPOTrainer, add_logprob_head  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

WORDS = ["<pad>", "<eos>", *(f"w{i}" for i in range(126))]


def tokenizer() -> object:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


def model(seed: int = 0, **extra: object) -> object:
    torch.manual_seed(seed)
    config = transformers.Qwen2Config(
        vocab_size=128, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        initializer_range=0.3, pad_token_id=0, eos_token_id=1, bos_token_id=None, **extra,
    )  # fmt: skip
    return transformers.Qwen2ForCausalLM(config)


def reward(completion_ids: list, **_: object) -> list[float]:
    """Favours even tokens: any signal will do."""
    return [sum(i % 2 == 0 for i in ids) / max(len(ids), 1) for ids in completion_ids]


def train(
    folder: Path, kind: type, *, peft: str | None = None, seed: int = 0, tied: bool = False,
    backend: str = "eager", **options: object,
) -> list[dict[str, float]]:  # fmt: skip
    from datasets import Dataset

    rows = [{"prompt": f"w{i} w{i + 1} w{i + 2}"} for i in range(12)]
    settings = {
        "output_dir": str(folder), "report_to": [], "max_steps": 4,
        "use_cpu": backend == "eager" or not torch.cuda.is_available(),
        "per_device_train_batch_size": 4, "num_generations": 4, "max_completion_length": 8,
        "learning_rate": 1e-2, "logging_steps": 1, "save_strategy": "no", "beta": 0.04,
        "seed": seed, "bf16": False, "disable_tqdm": True, "temperature": 0.9,
        "model_init_kwargs": {"dtype": "float32"},
        **options,
    }  # fmt: skip
    extra: dict = {"logprob_backend": backend} if kind is GRPOTrainer else {}
    if peft:
        from peft import LoraConfig

        extra["peft_config"] = LoraConfig(
            task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"],
            modules_to_save=["lm_head"] if peft == "head" else None,
        )  # fmt: skip
    # on disk, since TRL loads the reference model from where the policy came from
    model(tie_word_embeddings=tied).save_pretrained(folder / "model")
    trainer = kind(
        model=str(folder / "model"), args=trl.GRPOConfig(**settings),
        reward_funcs=reward, train_dataset=Dataset.from_list(rows), processing_class=tokenizer(),
        **extra,
    )  # fmt: skip
    trainer.train()
    return [entry for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize(
    "options",
    [
        {"loss_type": "grpo"},
        {"loss_type": "dapo", "steps_per_generation": 2, "num_iterations": 2},
        {"loss_type": "grpo", "peft": "layers", "gradient_checkpointing": True},
        {"loss_type": "grpo", "peft": "head"},
        {"loss_type": "dapo", "tied": True, "entropy_coef": 0.01},
        {"loss_type": "grpo", "backend": "triton"},  # interpreted where no GPU is
    ],
    ids=str,
)
def test_same_loss_curve_as_without(tmp_path: Path, options: dict) -> None:
    ours = train(tmp_path / "ours", GRPOTrainer, **options)
    theirs = train(tmp_path / "theirs", trl.GRPOTrainer, **options)
    assert len(ours) == len(theirs) == 4
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() & {"loss", "entropy", "kl", "grad_norm", "reward"}:
            assert a[name] == pytest.approx(b[name], rel=2e-4, abs=2e-6), name
    assert any(abs(entry["grad_norm"]) > 1e-3 for entry in ours)


def test_the_head_answers_as_the_logits_say() -> None:
    plain = model()
    ids = torch.randint(2, 128, (3, 9), generator=torch.Generator().manual_seed(0))
    labels = ids.clone()
    labels[:, :4] = -100
    logits = plain(ids).logits[:, :-1] / 0.7
    truth = torch.log_softmax(logits, -1).gather(2, ids[:, 1:, None]).squeeze(2)
    add_logprob_head(plain, temperature=0.7, backend="eager")
    out = plain(ids, labels=labels, fused_lm_head=True)
    torch.testing.assert_close(out.log_probs[:, 3:], truth[:, 3:], rtol=1e-5, atol=1e-5)
    assert (out.log_probs[:, :3] == 0).all()
    assert out.loss.item() == pytest.approx(-truth[:, 3:].mean().item(), rel=1e-5)
    torch.testing.assert_close(plain(ids).logits[:, :-1] / 0.7, logits)


def test_an_adapter_on_the_head_is_refused() -> None:
    peft = pytest.importorskip("peft")
    wrapped = peft.get_peft_model(model(), peft.LoraConfig(target_modules=["lm_head"], r=2))
    with pytest.raises(ValueError, match="take lm_head out of target_modules"):
        add_logprob_head(wrapped.get_base_model())


def test_another_trl_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(self: object, *args: object, **kwargs: object) -> None:
        return None

    monkeypatch.setattr(trl.GRPOTrainer, "_get_per_token_logps_and_entropies", elsewhere)
    with pytest.raises(RuntimeError, match="did not ask the model for log-probs"):
        train(tmp_path, GRPOTrainer)
