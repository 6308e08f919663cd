"""What makes training on a CPU cheaper changes nothing of what is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch

PROMPT, TARGET = 12, 3


def scored(model: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[Any]]:
    """Positions that TRL's head saw; log-probs, entropies and the gradient of the embeddings."""
    import torch
    from trl.trainer import utils

    from lmmixup.train.model import load_model

    seen: list[int] = []
    head = utils._ChunkedLogProbFunction

    class Counted:
        @staticmethod
        def apply(hidden: Any, *rest: Any) -> Any:
            seen.append(len(hidden))
            return head.apply(hidden, *rest)

    loaded = load_model(str(model))
    utils.add_fused_lm_head(loaded, outputs=("entropy",))
    ids = torch.arange(2 * (PROMPT + TARGET)).reshape(2, -1) % 50
    labels = ids.clone()
    labels[:, :PROMPT] = -100
    labels[1, -1] = -100
    with monkeypatch.context() as patched:
        patched.setattr(utils, "_ChunkedLogProbFunction", Counted)
        out = loaded(input_ids=ids, labels=labels, fused_lm_head=True)
    (out.log_probs.sum() + 0.1 * out.entropy.sum()).backward()
    return sum(seen), [out.log_probs, out.entropy, loaded.get_input_embeddings().weight.grad]


def test_only_targets_are_scored(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from trl.kernels import chunked_logprob
    from trl.trainer import utils

    from lmmixup.train.economy import score_targets_alone

    monkeypatch.setattr(utils, "_use_triton", chunked_logprob._use_triton)
    num_all, by_trl = scored(model, monkeypatch)
    score_targets_alone()
    num_targets, ours = scored(model, monkeypatch)
    assert num_all == 2 * (PROMPT + TARGET - 1)
    assert num_targets == 2 * TARGET - 1
    for one, other in zip(by_trl, ours, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_weights_are_rounded_for_a_while_only(model: Path) -> None:
    import torch

    from lmmixup.train.economy import in_bf16
    from lmmixup.train.model import load_model

    loaded = load_model(str(model))
    before = {name: weight.clone() for name, weight in loaded.named_parameters()}
    with pytest.raises(RuntimeError, match="ended"), in_bf16(loaded):
        assert {weight.dtype for weight in loaded.parameters()} == {torch.bfloat16}
        raise RuntimeError("ended")
    for name, weight in loaded.named_parameters():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, before[name])
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
