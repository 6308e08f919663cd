"""TRL's fused head on a CPU: only what the loss is on is scored, and the outcome stays the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch

PROMPT, TARGET = 12, 3


def _scored(model: Path, monkeypatch: pytest.MonkeyPatch, patch: Any) -> tuple[int, Any, Any, Any]:
    """Positions that the head saw, log-probs, entropies, and the gradient of the embeddings."""
    import torch
    from trl.trainer import utils

    from lmmixup.train.model import load_model

    patch()
    monkeypatch.setattr(utils, "_use_triton", utils._use_triton)  # put back after the test
    loaded = load_model(str(model))
    utils.add_fused_lm_head(loaded, outputs=("entropy",))
    seen: list[int] = []
    head = utils._ChunkedLogProbFunction

    class Counted:
        @staticmethod
        def apply(hidden: Any, *rest: Any) -> Any:
            seen.append(len(hidden))
            return head.apply(hidden, *rest)

    monkeypatch.setattr(utils, "_ChunkedLogProbFunction", Counted)
    ids = torch.arange(2 * (PROMPT + TARGET)).reshape(2, -1) % 50
    labels = ids.clone()
    labels[:, :PROMPT] = -100
    labels[1, -1] = -100
    out = loaded(input_ids=ids, labels=labels, fused_lm_head=True)
    (out.log_probs.sum() + 0.1 * out.entropy.sum()).backward()
    monkeypatch.undo()
    return sum(seen), out.log_probs, out.entropy, loaded.get_input_embeddings().weight.grad


def test_only_targets_are_scored_and_nothing_changes(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from lmmixup.train.trainer import score_targets_alone

    all_of_it = _scored(model, monkeypatch, lambda: None)
    monkeypatch.setattr("trl.trainer.utils._use_triton", None)
    alone = _scored(model, monkeypatch, score_targets_alone)
    assert all_of_it[0] == 2 * (PROMPT + TARGET - 1)
    assert alone[0] == 2 * TARGET - 1
    for one, other in zip(all_of_it[1:], alone[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
