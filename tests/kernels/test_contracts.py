"""FLOPs, memory, errors, warnings: what an op promises besides its values."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from whole_logits import DEVICE, made, relative, truth

from lmmixup_kernels import FallbackWarning, backend, components, lm_head_logprobs
from lmmixup_kernels.head import Head
from lmmixup_kernels.schemes import FLOPS_NHV, exp_dtype
from lmmixup_kernels.steps import Row, backward_step, forward_step

MIB = 1 << 20


def flops(case, scheme: str, g: torch.Tensor) -> int:
    """Of products, forward and backward; an op hides them from the counter, its steps do not."""
    head, anchor = Head(case.weight), torch.full((len(case.hidden),), -10.0)
    wanted = [scheme != "score", scheme not in ("score", "frozen"), False]
    in_place = {torch.ops.aten.addmm_: lambda _, a, b, **kw: 2 * a[0] * a[1] * b[1]}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        *kept, _ = forward_step(case.hidden, head, case.targets, anchor, True, scheme, "eager")
        if wanted[0]:
            backward_step([g], [True, False, False], Row(*kept), case.hidden, head, case.targets,
                          wanted, scheme, "eager")  # fmt: skip
    return counter.get_total_flops()


@pytest.mark.parametrize("scheme", FLOPS_NHV)
def test_flops(scheme: str) -> None:
    N, V, H = 256, 4099, 72
    case = made(N, V, H)
    assert flops(case, scheme, torch.ones(N)) == FLOPS_NHV[scheme] * N * V * H


@pytest.mark.parametrize(("scheme", "expected"), [("stored", 4), ("recompute", 5)])
def test_rows_without_gradient_skip_the_backward(scheme: str, expected: int) -> None:
    """Half of the rows, in one piece: half of the backward's 4, or of its 6, N H V."""
    N, V, H = 256, 4099, 72
    g = torch.ones(N)
    g[128:] = 0
    assert flops(made(N, V, H), scheme, g) == expected * N * V * H


def peak(run) -> int:
    """Most bytes that the CPU's allocator held above those at the start."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        run()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


@pytest.mark.filterwarnings("ignore")  # the profiler's own
@pytest.mark.parametrize("scheme", FLOPS_NHV)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory(scheme: str, dtype: torch.dtype) -> None:
    N, V, H = 1024, 65_539, 64  # logits: 256 MiB in fp32
    x = torch.randn(N, H).to(dtype).requires_grad_(scheme != "score")
    w = torch.randn(V, H).to(dtype).requires_grad_(scheme in ("stored", "recompute"))
    y = torch.randint(V, (N,))

    def run() -> None:
        out = lm_head_logprobs(x, w, y, scheme=scheme, backend="eager", need_entropy=True)
        if scheme != "score":
            out.logp.sum().backward()

    bound = {
        "score": 64 * MIB,
        "frozen": 128 * MIB + 4 * N * H,
        "stored": exp_dtype(dtype).itemsize * N * V + 4 * V * H + 128 * MIB,
        "recompute": 4 * V * H + 128 * MIB,
    }[scheme]
    assert 0 < peak(run) <= bound


@pytest.mark.filterwarnings("ignore")
def test_memory_of_a_wide_frozen_head() -> None:
    """4NH of 256 MiB is the sum of dX; nothing else of that size may stand beside it and dX."""
    N, V, H = 16_384, 64, 4096
    x = torch.randn(N, H).bfloat16().requires_grad_()
    w, y = (torch.randn(V, H) / 64).bfloat16(), torch.randint(V, (N,))

    def run() -> None:
        lm_head_logprobs(x, w, y, scheme="frozen", backend="eager").logp.sum().backward()

    assert 4 * N * H < peak(run) <= 4 * N * H + 2 * N * H + 64 * MIB


@pytest.mark.parametrize("equal", [False, True])
def test_bf16_errors_stay_within_one_rounding(equal: bool) -> None:
    """DX and dW against the recomputed gradient, rounded to bf16 once, in products of fp32.

    With equal gradients the labels' entries, 1 - p_y of nearly 1, are right in the peer's bf16.
    """
    N, V = 128, 8192
    case = made(N, V, dtype=torch.bfloat16)
    g = torch.randn(N, generator=torch.Generator().manual_seed(0))
    g = torch.ones(N) if equal else g
    expected, (dX, dW) = truth(case, (g, None, None))
    x, w = case.hidden.float(), case.weight.float()
    p = torch.softmax(x.double() @ w.double().t(), 1)
    p[torch.arange(N), case.targets] -= 1
    G = (-g[:, None] * p).to(torch.bfloat16).float()
    peer = relative((G @ w).bfloat16(), dX), relative((G.t() @ x).bfloat16(), dW)
    for scheme, of_hidden, of_weight in (
        ("recompute", 1.2, 1.2), ("stored", 1.0, 1.0), ("frozen", 1.0, None),
    ):  # fmt: skip
        a = case.hidden.clone().requires_grad_()
        b = case.weight.clone().requires_grad_(scheme != "frozen")
        out = lm_head_logprobs(a, b, case.targets, scheme=scheme, backend="eager")
        (g * out.logp).sum().backward()
        assert (out.logp - expected[0]).abs().max() <= 2e-5
        assert relative(a.grad, dX) <= of_hidden * peer[0]
        if of_weight:
            assert relative(b.grad, dW) <= of_weight * peer[1]


def test_the_streamed_gradient_is_better_than_one_rounding() -> None:
    """The sum itself, in fp32, before it is rounded to the inputs' type."""
    case = made(64, 8192, dtype=torch.bfloat16)
    _, (dX, _) = truth(case, (torch.ones(64), None, None))
    head = Head(case.weight)
    *kept, _ = forward_step(case.hidden, head, case.targets, torch.full((64,), -10.0), False,
                            "frozen", "eager")  # fmt: skip
    row = Row(*kept)
    from lmmixup_kernels.steps import _frozen

    made_grads, _ = _frozen(torch.ones(64), None, row, case.hidden, head, case.targets,
                            torch.float32)  # fmt: skip
    assert relative(made_grads.hidden, dX) <= 5e-4


def test_bf16_rows_that_are_far_or_without_gradient() -> None:
    """They leave the product in fp16 alone, whose powers of two are made from what they lack."""
    case = made(40, 1003, dtype=torch.bfloat16)
    case.hidden[3] *= 60
    g = torch.ones(40)
    g[10:20] = g[35:] = 0
    _, (dX, dW) = truth(case, (g, None, None))
    for gradient in (g, torch.zeros(40)):
        a, b = case.hidden.clone().requires_grad_(), case.weight.clone().requires_grad_()
        out = lm_head_logprobs(a, b, case.targets, scheme="stored", backend="eager")
        (gradient * out.logp).sum().backward()
        assert out.num_far >= 1
        if gradient.any():
            assert relative(b.grad, dW) < 4e-3
            assert relative(a.grad, dX) < 4e-3
        else:
            assert (a.grad == 0).all()
            assert (b.grad == 0).all()


def test_autocast_does_not_reach_in() -> None:
    case = made(20, 1003)
    results = []
    for enabled in (False, True):
        x, w = case.hidden.clone().requires_grad_(), case.weight.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = lm_head_logprobs(x, w, case.targets, backend="eager")
            out.logp.sum().backward()
        results.append((out.logp, x.grad, w.grad))
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


def test_a_fallback_is_said_once() -> None:
    backend.say_once.cache_clear()
    case = made(3, 50)
    with pytest.warns(FallbackWarning, match="lm_head_logprobs runs in plain torch"):
        lm_head_logprobs(case.hidden, case.weight, case.targets)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lm_head_logprobs(case.hidden, case.weight, case.targets)
        lm_head_logprobs(case.hidden, case.weight, case.targets, backend="eager")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_cpu_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    backend.say_once.cache_clear()
    monkeypatch.setattr(backend, "interpreted", lambda: False)
    case = made(3, 50)
    with pytest.warns(FallbackWarning, match="the tensors are on cpu, not on a GPU"):
        lm_head_logprobs(case.hidden, case.weight, case.targets)
    with pytest.raises(ValueError, match="Triton cannot run here: the tensors are on cpu"):
        lm_head_logprobs(case.hidden, case.weight, case.targets, backend="triton")


def test_triton_is_refused_where_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    case = made(3, 50)
    wide = case.hidden.double(), case.weight.double()
    with pytest.raises(ValueError, match=r"dtype torch\.float64 is none of bfloat16"):
        lm_head_logprobs(*wide, case.targets, backend="triton")
    with pytest.raises(ValueError, match="backend must be triton, eager or None, got 'cuda'"):
        lm_head_logprobs(case.hidden, case.weight, case.targets, backend="cuda")


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"weight": torch.zeros(72, 50)}, ValueError, "not transposed"),
        ({"hidden": torch.zeros(3, 72).half()}, TypeError, "one floating dtype"),
        ({"targets": torch.zeros(4).long()}, ValueError, r"targets must have the shape .* \(3,\)"),
        ({"targets": torch.zeros(3)}, TypeError, "whole numbers, got torch.float32"),
        ({"targets": torch.tensor([0, 50, 1])}, ValueError, r"in 0\.\.49, got 50 in row 1"),
        ({"targets": torch.tensor([0, 1, -100])}, ValueError, "got -100 in row 2; mask"),
        ({"mask": torch.ones(3)}, TypeError, r"pass mask\.bool"),
        ({"mask": torch.ones(2).bool()}, ValueError, "mask must have the shape"),
        ({"weight": torch.zeros(72, 50).t()}, ValueError, r"pass weight\.contiguous\(\)"),
        ({"bias": torch.ones(50, 2)[:, 0]}, ValueError, r"pass bias\.contiguous\(\)"),
        ({"bias": torch.ones(49)}, ValueError, r"bias must have shape \(50,\)"),
        ({"temperature": 0.0}, ValueError, "temperature must be above 0"),
        ({"softcap": -1.0}, ValueError, "softcap must be above 0"),
        ({"scheme": "fast"}, ValueError, "scheme must be one of score"),
        ({"anchor_logp": torch.ones(3).long()}, TypeError, "anchor_logp must be floating"),
        ({"weight": torch.zeros(50, 72, device="meta")}, ValueError, "is on cpu, weight on meta"),
    ],
)
def test_bad_input_is_said(change: dict, error: type[Exception], said: str) -> None:
    case = made(3, 50)
    inputs = {"hidden": case.hidden, "weight": case.weight, "targets": case.targets, **change}
    with pytest.raises(error, match=said):
        lm_head_logprobs(
            inputs.pop("hidden"), inputs.pop("weight"), inputs.pop("targets"), backend="eager",
            **inputs,
        )  # fmt: skip


@pytest.mark.parametrize("which", ["eager", "triton"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nothing_to_do_gives_nothing(which: str) -> None:
    case = made(4, 50, device=DEVICE)
    x, w = case.hidden.clone().requires_grad_(), case.weight.clone().requires_grad_()
    none = torch.zeros(4, dtype=torch.bool, device=DEVICE)
    out = lm_head_logprobs(x, w, case.targets, mask=none, need_entropy=True, backend=which)
    (out.logp.sum() + out.entropy.sum()).backward()
    assert (out.logp == 0).all()
    assert (x.grad == 0).all()
    assert (w.grad == 0).all()
    empty = lm_head_logprobs(x[:0], w, case.targets[:0], backend=which)
    assert empty.logp.shape == (0,)
    empty.logp.sum().backward()


@pytest.mark.parametrize("which", ["eager", "triton"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("scheme", FLOPS_NHV)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_stays_in_its_row(which: str, value: float, scheme: str) -> None:
    case = made(5, 200, device=DEVICE)
    bad = case.hidden.clone()
    bad[2, 3] = value
    x = bad.requires_grad_(scheme != "score")
    out = lm_head_logprobs(x, case.weight, case.targets, scheme=scheme, backend=which)
    good = lm_head_logprobs(case.hidden, case.weight, case.targets, scheme=scheme, backend=which)
    others = [0, 1, 3, 4]
    assert torch.isnan(out.logp[2])
    torch.testing.assert_close(out.logp[others], good.logp[others], rtol=1e-6, atol=1e-6)
    if scheme != "score":
        out.logp.sum().backward()
        assert torch.isnan(x.grad[2]).any()
        assert torch.isfinite(x.grad[others]).all()


@pytest.mark.filterwarnings("ignore")  # the profiler's own
def test_components_list_no_pairs() -> None:
    """Eight million pairs, all at the threshold, would be 134 MB as a list of rows."""
    N = 4096
    rows = torch.ones(N, 8) / 8**0.5
    found = peak(lambda: components(rows, 0.9, backend="eager"))
    assert 4 * 1024 * N < found <= 8 * 1024 * N + (1 << 20)
