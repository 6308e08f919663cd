"""`lm_head_logprobs` in plain torch against double precision."""

from __future__ import annotations

import pytest
import torch
from whole_logits import DEVICE, Case, made, relative, truth

from lmmixup_kernels import lm_head_logprobs
from lmmixup_kernels.schemes import FLOPS_NHV

FORMS = [
    {},
    {"temperature": 0.7},
    {"softcap": 30.0, "temperature": 1.3},
    {"bias": True, "logit_scale": 0.5},
    {"bias": True, "softcap": 20.0, "logit_scale": 2.0},
]


def run(case: Case, scheme: str, grads=(None, None, None), **extra):
    x, w = (t.clone().requires_grad_() for t in (case.hidden, case.weight))
    if scheme in ("score", "frozen"):
        w.requires_grad_(False)
    leaves = [x, w]
    options = dict(case.options)
    if case.bias is not None:
        options["bias"] = case.bias.clone().requires_grad_(w.requires_grad)
        leaves.append(options["bias"])
    extra.setdefault("backend", "eager")
    out = lm_head_logprobs(x, w, case.targets, need_entropy=True, scheme=scheme, **options, **extra)
    total = sum((g * o).sum() for g, o in zip(grads, out[:3], strict=True) if g is not None)
    if isinstance(total, torch.Tensor) and scheme != "score":
        total.backward()
    return out, [t.grad for t in leaves]


@pytest.mark.parametrize("scheme", FLOPS_NHV)
@pytest.mark.parametrize(("N", "V"), [(1, 1003), (70, 4099), (257, 1003)])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_against_double_precision(scheme: str, N: int, V: int, form: dict) -> None:
    case = made(N, V, **form)
    g = torch.randn(N, generator=torch.Generator().manual_seed(1))
    expected, grads = truth(case, (g, None, None))
    out, found = run(case, scheme, (g, None, None))
    for name, a, b, tolerance in zip(("logp", "entropy", "lse"), out, expected,
                                     (2e-5, 1e-4, 2e-5), strict=False):  # fmt: skip
        assert (a.double() - b).abs().max() <= tolerance, name
    if scheme == "score":
        return
    assert relative(found[0], grads[0], 1).max() < 3e-5  # every row for itself
    if scheme != "frozen":
        for a, b in zip(found[1:], grads[1:], strict=True):
            assert relative(a, b) < 3e-5


@pytest.mark.parametrize("scheme", ["frozen", "stored", "recompute"])
def test_sure_rows_keep_their_gradient(scheme: str) -> None:
    case = made(40, 1003)
    g = torch.ones(40)
    expected, grads = truth(case, (g, None, None))
    sure = expected[0] > -2e-5
    assert sure.any()
    assert (expected[0] < -10).any()
    out, found = run(case, scheme, (g, None, None))
    assert relative(found[0][sure], grads[0][sure], 1).max() < 1e-4
    assert ((out.logp[sure].double() - expected[0][sure]) / expected[0][sure]).abs().max() < 1e-4


@pytest.mark.parametrize("scheme", ["frozen", "stored", "recompute"])
@pytest.mark.parametrize("which", [(0, 1), (1, 2), (0, 1, 2), (2,)], ids=str)
@pytest.mark.parametrize("form", FORMS[::2], ids=str)
def test_gradients_of_entropy_and_lse(scheme: str, which: tuple[int, ...], form: dict) -> None:
    case = made(33, 1003, **form)
    rng = torch.Generator().manual_seed(2)
    grads = tuple(torch.randn(33, generator=rng) if k in which else None for k in range(3))
    _, expected = truth(case, grads)
    _, found = run(case, scheme, grads)
    for a, b in zip(found, expected, strict=True):
        if a is not None:
            assert relative(a, b) < 3e-5


@pytest.mark.parametrize("scheme", ["frozen", "stored"])
@pytest.mark.parametrize("off", [-20.0, -3.0, 0.0, 20.0])
def test_any_anchor_within_twenty_will_do(scheme: str, off: float) -> None:
    case = made(64, 1003)
    g = torch.randn(64, generator=torch.Generator().manual_seed(3))
    expected, grads = truth(case, (g, None, None))
    out, found = run(case, scheme, (g, None, None), anchor_logp=expected[0].float() + off)
    assert out.num_far == 0
    assert (out.logp.double() - expected[0]).abs().max() < 5e-6
    assert relative(found[0], grads[0], 1).max() < 3e-5
    alone = run(case, "score")[0]
    assert (out.logp - alone.logp).abs().max() <= 5e-6


@pytest.mark.parametrize("scheme", ["frozen", "stored"])
def test_rows_beyond_the_anchor_are_counted_and_right(scheme: str) -> None:
    case = made(30, 1003)
    case.hidden[3] *= 60  # logits in the hundreds
    anchor = torch.full((30,), -10.0)
    anchor[7], anchor[8], anchor[9] = 500.0, float("nan"), float("-inf")
    g = torch.ones(30)
    expected, grads = truth(case, (g, None, None))
    out, found = run(case, scheme, (g, None, None), anchor_logp=anchor)
    assert out.num_far >= 3
    assert ((out.logp - expected[0]) / (1 + expected[0].abs())).abs().max() < 2e-5
    assert relative(found[0], grads[0], 1).max() < 5e-5
    if scheme == "stored":
        assert relative(found[1], grads[1]) < 3e-5


@pytest.mark.parametrize("scheme", FLOPS_NHV)
def test_a_row_has_the_same_bits_wherever_it_stands(scheme: str) -> None:
    case = made(300, 4099)
    whole = run(case, scheme)[0]
    for rows in (slice(0, 1), slice(7, 8), slice(100, 229), slice(299, 300)):
        part = Case(case.hidden[rows], case.weight, case.targets[rows], {})
        out = run(part, scheme)[0]
        for a, b in zip(out[:3], whole[:3], strict=True):
            assert torch.equal(a, b[rows])


def test_masked_rows_are_zero_and_have_no_gradient() -> None:
    case = made(20, 1003)
    mask = torch.arange(20) % 3 == 0
    case.targets[~mask] = -100
    x, w = case.hidden.clone().requires_grad_(), case.weight.clone().requires_grad_()
    out = lm_head_logprobs(x, w, case.targets, mask=mask, need_entropy=True, backend="eager")
    (out.logp.sum() + out.lse.sum()).backward()
    for values in out[:3]:
        assert (values[~mask] == 0).all()
    assert (x.grad[~mask] == 0).all()
    part = Case(case.hidden[mask], case.weight, case.targets[mask], {})
    expected, grads = truth(part, (torch.ones(7), None, torch.ones(7)))
    assert relative(x.grad[mask], grads[0]) < 3e-5
    assert relative(w.grad, grads[1]) < 3e-5
    assert (out.logp[mask] - expected[0]).abs().max() < 2e-5


def test_masked_rows_cost_nothing() -> None:
    """Only the rows that count reach the op: half of the exponentials fit half of the budget."""
    case = made(16, 1003)
    x, w = case.hidden.requires_grad_(), case.weight.requires_grad_()
    half = torch.arange(16) < 8
    for mask, scheme in ((half, "stored"), (~half, "stored"), (half | ~half, "recompute")):
        out = lm_head_logprobs(
            x, w, case.targets, mask=mask, memory_budget=8 * 1003 * 4, backend="eager"
        )
        assert out.scheme == scheme


def test_leading_dimensions_and_strides() -> None:
    case = made(24, 1003)
    wide = torch.zeros(24, 144)
    wide[:, ::2] = case.hidden
    flat = lm_head_logprobs(case.hidden, case.weight, case.targets, backend="eager").logp
    tail = torch.zeros(24, 100)
    tail[:, 20:92] = case.hidden
    for hidden in (wide[:, ::2], tail[:, 20:92]):
        assert torch.equal(
            lm_head_logprobs(hidden, case.weight, case.targets, backend="eager").logp, flat
        )
    cube = lm_head_logprobs(
        case.hidden.view(2, 12, 72), case.weight, case.targets.view(2, 12), backend="eager"
    )
    assert torch.equal(cube.logp.view(-1), flat)


def test_second_backward_gives_the_same() -> None:
    case = made(9, 1003)
    x, w = case.hidden.clone().requires_grad_(), case.weight.clone().requires_grad_()
    out = lm_head_logprobs(x, w, case.targets, scheme="stored", backend="eager")
    first = torch.autograd.grad(out.logp.sum(), (x, w), retain_graph=True)
    again = torch.autograd.grad(out.logp.sum(), (x, w))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_the_scheme_follows_gradients_and_budget() -> None:
    case = made(16, 1003)

    def scheme(x: bool, w: bool, **extra) -> str:
        return lm_head_logprobs(
            case.hidden.clone().requires_grad_(x), case.weight.clone().requires_grad_(w),
            case.targets, backend="eager", **extra,
        ).scheme  # fmt: skip

    assert scheme(False, False) == "score"
    assert scheme(True, False) == "frozen"
    assert scheme(True, True) == scheme(False, True) == "stored"
    assert scheme(True, True, memory_budget=16 * 1003 * 4) == "stored"
    assert scheme(True, True, memory_budget=16 * 1003 * 4 - 1) == "recompute"
    with torch.no_grad():
        assert scheme(True, True) == "score"


@pytest.mark.parametrize("backend", ["eager", "triton", None])
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::lmmixup_kernels.FallbackWarning")
def test_compiles_without_a_break(backend: str | None) -> None:
    case = made(16, 1003, device=DEVICE)

    def loss(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return -lm_head_logprobs(x, w, case.targets, backend=backend).logp.mean()

    results = []
    for f in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        x, w = case.hidden.clone().requires_grad_(), case.weight.clone().requires_grad_()
        f(x, w).backward()
        results.append((x.grad, w.grad))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("scheme", ["frozen", "stored", "recompute"])
def test_the_op_passes_torch_opcheck(scheme: str) -> None:
    from lmmixup_kernels.logprobs import _op

    case = made(5, 1003)
    x = case.hidden.clone().requires_grad_()
    w = case.weight.clone().requires_grad_(scheme != "frozen")
    args = (x, w, None, case.targets, torch.full((5,), -10.0), 1.0, 0.0, 1.0, True, scheme, "eager")
    torch.library.opcheck(_op, args, test_utils=("test_schema", "test_autograd_registration",
                                                 "test_faketensor"))  # fmt: skip
