"""`grpo_loss` against TRL's `_compute_loss` and against its own definition."""

from __future__ import annotations

import types
from collections import defaultdict

import pytest
import torch
from whole_logits import made, relative

from lmmixup_kernels import grpo_loss, lm_head_logprobs, lm_head_loss

B, T = 6, 11


def batch(seed: int = 0, spread: float = 0.5) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    logp = -torch.rand((B, T), generator=rng) * 3 - 0.05
    lengths = torch.tensor([11, 1, 7, 4, 11, 9])
    return {
        "logp": logp.requires_grad_(),
        "old_logp": (logp + spread * torch.randn((B, T), generator=rng)).detach(),
        "ref_logp": (logp + 0.3 * torch.randn((B, T), generator=rng)).detach(),
        "advantage": torch.tensor([1.0, -0.5, 0.0, 2.0, -1.5, 0.3]),
        "mask": torch.arange(T)[None, :] < lengths[:, None],
    }


def trl_loss(made: dict, *, loss_type: str, level: str, beta: float, delta: float | None,
             low: float, high: float, on_policy: bool, by_ratio: bool) -> torch.Tensor:  # fmt: skip
    """The loss of TRL's own trainer for given log-probs: its method on a stand-in for itself."""
    trl = pytest.importorskip("trl")
    ids = torch.zeros((B, T), dtype=torch.long)
    inputs = {
        "prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1] + 1, "completion_ids": ids,
        "completion_mask": made["mask"].long(), "advantages": made["advantage"],
        "ref_per_token_logps": made["ref_logp"], "num_items_in_batch": made["mask"].sum(),
    }  # fmt: skip
    if not on_policy:
        inputs["old_per_token_logps"] = made["old_logp"]
    accelerator = types.SimpleNamespace(
        num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x
    )
    stand_in = types.SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *a, **k: (made["logp"], torch.ones(B, T), None),
        aux_loss_enabled=False, top_entropy_quantile=1.0, off_policy_mask_threshold=None,
        importance_sampling_level=level, beta=beta, loss_type=loss_type, epsilon_low=low,
        epsilon_high=high, use_vllm=False, _entropy_bonus_enabled=False, max_completion_length=20,
        current_gradient_accumulation_steps=1, accelerator=accelerator,
        model=types.SimpleNamespace(training=True),
        args=types.SimpleNamespace(
            use_bias_correction_kl=by_ratio, delta=delta, steps_per_generation=1
        ),
        _metrics={"train": defaultdict(list)},
    )  # fmt: skip
    return trl.GRPOTrainer._compute_loss(stand_in, None, inputs)


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "bnpo", "dr_grpo", "cispo"])
@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize(("beta", "by_ratio"), [(0.0, True), (0.01, True), (0.5, False)])
@pytest.mark.parametrize("delta", [None, 3.0, 1.25])
@pytest.mark.parametrize("on_policy", [False, True])
def test_equals_trl(
    loss_type: str, level: str, beta: float, by_ratio: bool, delta: float | None, on_policy: bool
) -> None:
    ours, theirs = batch(), batch()
    low, high = 0.2, 5.0 if loss_type == "cispo" else 0.3
    a = grpo_loss(
        ours["logp"], ours["advantage"], ours["mask"], loss_type=loss_type, level=level,
        old_logp=None if on_policy else ours["old_logp"], ref_logp=ours["ref_logp"], beta=beta,
        delta=delta, epsilon_low=low, epsilon_high=high, kl_by_ratio=by_ratio, max_length=20,
        num_tokens=ours["mask"].sum(),
    ).loss  # fmt: skip
    b = trl_loss(theirs, loss_type=loss_type, level=level, beta=beta, delta=delta, low=low,
                 high=high, on_policy=on_policy, by_ratio=by_ratio)  # fmt: skip
    a.backward()
    b.backward()
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(ours["logp"].grad, theirs["logp"].grad, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("kl", "expected"), [("k1", -0.5), ("k2", 0.125), ("k3", 0.14872127)])
def test_estimators(kl: str, expected: float) -> None:
    logp = torch.full((1, 1), -2.0)
    made = grpo_loss(logp, torch.zeros(1), torch.ones(1, 1), ref_logp=logp + 0.5, beta=2.0, kl=kl)
    assert made.loss.item() == pytest.approx(2 * expected, rel=1e-6)
    assert made.kl.item() == pytest.approx(expected, rel=1e-6)


def test_dual_clip_bounds_a_negative_advantage() -> None:
    logp, old = torch.tensor([[0.0]]), torch.tensor([[-5.0]])
    options = {"old_logp": old, "epsilon_low": 0.2, "epsilon_high": 0.3}
    free = grpo_loss(logp, torch.tensor([-1.0]), torch.ones(1, 1), **options).loss
    bound = grpo_loss(logp, torch.tensor([-1.0]), torch.ones(1, 1), delta=3.0, **options).loss
    assert free.item() == pytest.approx(148.413, rel=1e-4)
    assert bound.item() == 3.0


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "bnpo", "dr_grpo", "cispo"])
def test_a_batch_without_tokens_is_zero(loss_type: str) -> None:
    logp = torch.zeros((2, 3), requires_grad=True)
    made = grpo_loss(logp, torch.ones(2), torch.zeros(2, 3), loss_type=loss_type)
    made.loss.backward()
    assert made.loss == 0
    assert (logp.grad == 0).all()


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "bnpo", "dr_grpo", "cispo"])
@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("chunk", [5, 24, 1000])
def test_chunks_give_the_composed_loss(loss_type: str, level: str, chunk: int) -> None:
    """Sequences of 12 tokens; each chunk's part is divided by what the whole batch has."""
    case, num, length = made(48, 1003), 4, 12
    old = lm_head_logprobs(case.hidden, case.weight, case.targets, backend="eager").logp + 0.1
    advantage = torch.tensor([1.0, -1.0, 0.5, 2.0])
    options = {"loss_type": loss_type, "level": level, "num_tokens": 48, "max_length": length}

    def part(out, rows: slice) -> torch.Tensor:
        some = slice(rows.start // length, rows.stop // length)
        shape = (-1, length)
        found = grpo_loss(
            out.logp.view(shape), advantage[some], torch.ones_like(out.logp).view(shape),
            old_logp=old[rows].view(shape), **options,
        ).loss  # fmt: skip
        share = (some.stop - some.start) / num
        return found * share if loss_type in ("grpo", "bnpo", "dr_grpo") else found

    results = []
    for fused in (True, False):
        x, w = case.hidden.clone().requires_grad_(), case.weight.clone().requires_grad_()
        if fused:
            ends = [12, 24, 36, 48]
            loss = lm_head_loss(x, w, case.targets, part, ends=ends, chunk=chunk, backend="eager")
        else:
            loss = part(lm_head_logprobs(x, w, case.targets, backend="eager"), slice(0, 48))
        (3 * loss).backward()
        results.append((loss.detach(), x.grad, w.grad))
    (a, ax, aw), (b, bx, bw) = results
    assert abs(a - b) <= 1e-6
    assert relative(ax, bx) < 1e-6
    assert relative(aw, bw) < 1e-5


def test_bad_input_is_said() -> None:
    logp = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="loss_type must be one of grpo, dapo"):
        grpo_loss(logp, torch.ones(2), torch.ones(2, 3), loss_type="ppo")
    with pytest.raises(ValueError, match=r"mask must have the shape of logp, \(2, 3\)"):
        grpo_loss(logp, torch.ones(2), torch.ones(2, 4))
    with pytest.raises(ValueError, match="needs ref_logp"):
        grpo_loss(logp, torch.ones(2), torch.ones(2, 3), beta=0.1)
    with pytest.raises(ValueError, match=r"advantage must have shape \(2,\)"):
        grpo_loss(logp, torch.ones(3), torch.ones(2, 3))
    case = made(6, 1003)
    with pytest.raises(ValueError, match="ends must rise to 6"):
        lm_head_loss(case.hidden, case.weight, case.targets, lambda o, r: o.logp.sum(), ends=[4])
