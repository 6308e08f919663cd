"""The Triton kernels, in the interpreter or on a GPU, against double precision.

bf16 is left to a GPU: the interpreter's `tl.dot` is silently wrong there.
"""

from __future__ import annotations

import pytest
import torch
from test_logprobs import FORMS, run
from whole_logits import DEVICE, Case, made, relative, truth

from lmmixup_kernels import lm_head_logprobs
from lmmixup_kernels.schemes import FLOPS_NHV

pytest.importorskip("triton")

# the interpreter's NumPy warns of lanes that are masked away
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def launch_kernels() -> dict:
    from lmmixup_kernels import launch

    return {name: kernel for name, kernel in vars(launch).items() if name.endswith("_kernel")}


@pytest.mark.parametrize("scheme", FLOPS_NHV)
@pytest.mark.parametrize(("N", "V"), [(1, 1003), (70, 4099), (257, 1003)])
@pytest.mark.parametrize("form", [{}, FORMS[2], FORMS[4]], ids=str)
def test_against_double_precision(scheme: str, N: int, V: int, form: dict) -> None:
    case = made(N, V, device=DEVICE, **form)
    g = torch.randn(N, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    expected, grads = truth(case, (g, None, None))
    out, found = run(case, scheme, (g, None, None), backend="triton")
    for name, a, b, tolerance in zip(("logp", "entropy", "lse"), out, expected,
                                     (2e-5, 1e-4, 2e-5), strict=False):  # fmt: skip
        assert (a.double() - b).abs().max() <= tolerance, name
    if scheme == "score":
        return
    assert relative(found[0], grads[0], 1).max() < 3e-5
    if scheme != "frozen":
        for a, b in zip(found[1:], grads[1:], strict=True):
            assert relative(a, b) < 3e-5


@pytest.mark.parametrize("scheme", FLOPS_NHV)
def test_half_precision(scheme: str) -> None:
    case = made(70, 1003, dtype=torch.float16, device=DEVICE)
    # as loss scaling does: unscaled, the gradient of a sure row is below fp16's smallest number
    g = 2.0**10 * torch.rand(70, generator=torch.Generator().manual_seed(1)).add(0.5).to(DEVICE)
    expected, grads = truth(case, (g, None, None))
    out, found = run(case, scheme, (g, None, None), backend="triton")
    assert (out.logp.double() - expected[0]).abs().max() <= 2e-5
    assert (out.entropy.double() - expected[1]).abs().max() <= 1e-4
    if scheme != "score":
        assert relative(found[0], grads[0], 1).max() < 1e-3  # one rounding to fp16
    if scheme in ("stored", "recompute"):
        assert relative(found[1], grads[1]) < 1e-3


@pytest.mark.parametrize("scheme", ["frozen", "stored", "recompute"])
def test_gradients_of_entropy_and_lse(scheme: str) -> None:
    case = made(33, 1003, device=DEVICE, **FORMS[2])
    rng = torch.Generator().manual_seed(2)
    grads = tuple(torch.randn(33, generator=rng).to(DEVICE) for _ in range(3))
    _, expected = truth(case, grads)
    _, found = run(case, scheme, grads, backend="triton")
    for a, b in zip(found, expected, strict=True):
        if a is not None:
            assert relative(a, b) < 3e-5


@pytest.mark.parametrize("scheme", ["frozen", "stored"])
def test_rows_beyond_the_anchor(scheme: str) -> None:
    case = made(150, 1003, device=DEVICE)
    case.hidden[3] *= 60
    anchor = torch.full((150,), -10.0, device=DEVICE)
    anchor[77] = 500.0
    g = torch.ones(150, device=DEVICE)
    expected, grads = truth(case, (g, None, None))
    out, found = run(case, scheme, (g, None, None), anchor_logp=anchor, backend="triton")
    assert out.num_far >= 1
    assert ((out.logp - expected[0]) / (1 + expected[0].abs())).abs().max() < 2e-5
    assert relative(found[0], grads[0], 1).max() < 5e-5


@pytest.mark.parametrize("scheme", FLOPS_NHV)
def test_a_row_has_the_same_bits_wherever_it_stands(scheme: str) -> None:
    case = made(70, 4099, device=DEVICE)
    if DEVICE == "cpu":
        # the interpreter's NumPy product depends on a row's place in its block, a tensor core does
        # not: with multiples of 1 / 64 the products are exact, and all else is put to the test
        case.hidden.mul_(64).round_().div_(64)
        case.weight.mul_(64).round_().div_(64)
    whole = run(case, scheme, backend="triton")[0]
    for rows in (slice(0, 1), slice(65, 66), slice(3, 68)):
        part = Case(case.hidden[rows], case.weight, case.targets[rows], {})
        out = run(part, scheme, backend="triton")[0]
        for a, b in zip(out[:3], whole[:3], strict=True):
            assert torch.equal(a, b[rows])


def test_strided_hidden_is_read_in_place() -> None:
    case = made(24, 1003, device=DEVICE)
    tail = torch.zeros(24, 100, device=DEVICE)
    tail[:, 20:92] = case.hidden
    flat = lm_head_logprobs(case.hidden, case.weight, case.targets, backend="triton").logp
    out = lm_head_logprobs(tail[:, 20:92], case.weight, case.targets, backend="triton").logp
    assert torch.equal(out, flat)


def test_labels_and_anchors_with_strides() -> None:
    """Columns of a wider tensor: a kernel that ran over their neighbours would be far off."""
    case = made(24, 1003, device=DEVICE)
    targets = torch.stack([case.targets, case.targets * 0], 1)[:, 0]
    anchor = torch.stack([torch.full((24,), -10.0), torch.full((24,), 50.0)], 1).to(DEVICE)[:, 0]
    flat = lm_head_logprobs(case.hidden, case.weight, case.targets, backend="triton").logp
    for scheme in ("score", "stored"):
        out = lm_head_logprobs(
            case.hidden, case.weight, targets, anchor_logp=anchor, scheme=scheme, backend="triton"
        )
        assert (out.logp - flat).abs().max() <= 5e-6
        assert out.num_far == 0


def test_rows_too_far_apart_for_32_bits_are_copied() -> None:
    from lmmixup_kernels.head import columns_are_rows

    near = torch.empty_strided((128, 8), (2**24 - 1, 1), device="meta")
    far = torch.empty_strided((128, 8), (2**24, 1), device="meta")
    assert columns_are_rows(near) is near
    assert columns_are_rows(far).stride() == (8, 1)


def test_every_launch_is_on_its_inputs_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton launches on the current GPU, which need not be the inputs'."""
    from lmmixup_kernels import backend, components, group_advantage, knn_bayes

    inside: list[int] = []
    guard = torch.cuda.device_of

    class Guard(guard):  # type: ignore[misc,valid-type]
        def __enter__(self) -> None:
            inside.append(1)
            super().__enter__()

        def __exit__(self, *error: object) -> None:
            inside.pop()
            super().__exit__(*error)

    launched = []
    kind = type(launch_kernels()["score_kernel"])
    plain = kind.run

    def checked(self, *args, **kwargs):
        launched.append(bool(inside))
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(backend.torch.cuda, "device_of", Guard)
    monkeypatch.setattr(kind, "run", checked)
    case = made(9, 300, device=DEVICE)
    for scheme in ("frozen", "stored", "recompute"):
        run(case, scheme, (torch.ones(9, device=DEVICE), None, None), backend="triton")
    rows, labels = case.weight, torch.zeros(300, dtype=torch.long, device=DEVICE)
    table = torch.ones((5, 2), dtype=torch.float64, device=DEVICE)
    knn_bayes(case.hidden, rows, labels, table, k=4, backend="triton")
    components(case.hidden, 0.9, backend="triton")
    weights = torch.ones(1, device=DEVICE)
    group_advantage(torch.zeros(8, 1, device=DEVICE), weights, 4, backend="triton")
    assert len(launched) > 10
    assert all(launched)


def test_a_part_without_columns_adds_nothing() -> None:
    from lmmixup_kernels import eager, launch
    from lmmixup_kernels.head import Head
    from lmmixup_kernels.schemes import Wanted, recompute
    from lmmixup_kernels.statistics import RowGradient

    case = made(70, 1003, device=DEVICE)
    head = Head(case.weight[:0])
    for ops, name in ((eager, "eager"), (launch, "triton")):
        sums = ops.score(case.hidden, head, case.targets, need_entropy=True)
        assert (sums.s == 0).all()
        assert (sums.zy == 0).all()
        row = torch.ones(70, device=DEVICE)
        state = RowGradient(row, row, row, None, row)
        grads = recompute(case.hidden, head, case.targets, state, Wanted(True, True, False), name)
        assert (grads.hidden == 0).all()
        assert grads.weight.shape == (0, 72)
