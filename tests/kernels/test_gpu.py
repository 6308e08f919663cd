"""What only a GPU can show: bf16 on tensor cores, allocator peaks, no wait for the host."""

from __future__ import annotations

import pytest
import torch
from test_logprobs import FORMS, run
from whole_logits import Case, made, relative, truth

from lmmixup_kernels import lm_head_logprobs
from lmmixup_kernels.schemes import FLOPS_NHV

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("scheme", FLOPS_NHV)
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(("N", "V", "H"), [(1, 1003, 72), (257, 4099, 192), (600, 32_000, 1536)])
def test_bf16_against_double_precision(scheme: str, form: dict, N: int, V: int, H: int) -> None:
    case = made(N, V, H, dtype=torch.bfloat16, device="cuda", **form)
    g = torch.randn(N, generator=torch.Generator().manual_seed(1)).cuda()
    expected, grads = truth(case, (g, None, None))
    out, found = run(case, scheme, (g, None, None), backend="triton")
    assert (out.logp.double() - expected[0]).abs().max() <= 2e-5
    assert (out.entropy.double() - expected[1]).abs().max() <= 1e-4
    if scheme != "score":
        assert relative(found[0], grads[0], 1).max() < 8e-3  # a row: one rounding of E, one of dX
    if scheme in ("stored", "recompute"):
        assert relative(found[1], grads[1]) < 4e-3


@pytest.mark.parametrize("scheme", FLOPS_NHV)
def test_large_logits_in_long_sums(scheme: str) -> None:
    """Several logits of a row up to 60 over 3,584 products: what tensor cores cut off shows."""
    case = made(256, 8192, 3584, dtype=torch.bfloat16, device="cuda")
    case.hidden.mul_(2.5)
    other = (case.targets + 1) % 8192
    case.weight[other[::2]] = (0.98 * case.weight[case.targets[::2]]).bfloat16()
    expected, _ = truth(case)
    out, _ = run(case, scheme, backend="triton")
    assert expected[2].max() > 45
    assert (out.logp.double() - expected[0]).abs().max() <= 2e-5
    alone = run(case, "score", backend="triton")[0]
    assert (out.logp - alone.logp).abs().max() <= 5e-6


def test_on_a_gpu_that_is_not_the_current_one() -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    case = made(70, 1003, dtype=torch.bfloat16, device="cuda:1")
    expected, grads = truth(case, (torch.ones(70, device="cuda:1"), None, None))
    out, found = run(
        case, "stored", (torch.ones(70, device="cuda:1"), None, None), backend="triton"
    )
    assert (out.logp.double() - expected[0]).abs().max() <= 2e-5
    assert relative(found[1], grads[1]) < 4e-3


@pytest.mark.parametrize("scheme", FLOPS_NHV)
def test_a_row_has_the_same_bits_wherever_it_stands(scheme: str) -> None:
    case = made(9000, 8192, 256, dtype=torch.bfloat16, device="cuda")
    whole = run(case, scheme, backend="triton")[0]
    for rows in (slice(0, 1), slice(65, 66), slice(130, 8999)):
        part = Case(case.hidden[rows], case.weight, case.targets[rows], {})
        assert torch.equal(run(part, scheme, backend="triton")[0].logp, whole.logp[rows])


@pytest.mark.parametrize("scheme", FLOPS_NHV)
def test_peaks(scheme: str) -> None:
    N, H, V, MIB = 8192, 1536, 151_936, 1 << 20
    x = torch.randn((N, H), device="cuda").bfloat16().requires_grad_(scheme != "score")
    w = (torch.randn((V, H), device="cuda") / 40).bfloat16()
    w.requires_grad_(scheme in ("stored", "recompute"))
    y = torch.randint(V, (N,), device="cuda")
    bound = {
        "score": 64 * MIB, "frozen": 128 * MIB + 4 * N * H,
        "stored": 2 * N * V + 4 * V * H + 128 * MIB,
        "recompute": 2 * 4096 * V + 4 * V * H + 128 * MIB,
    }[scheme]  # fmt: skip
    for _ in range(2):  # the first call also loads the kernels
        x.grad = w.grad = None
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        out = lm_head_logprobs(x, w, y, scheme=scheme, backend="triton")
        if scheme != "score":
            out.logp.sum().backward()
        peak = torch.cuda.max_memory_allocated() - before
        del out
    assert peak <= bound


@pytest.mark.parametrize("scheme", FLOPS_NHV)
def test_a_bad_label_is_counted_without_waiting_for_the_gpu(scheme: str) -> None:
    case = made(300, 1003, dtype=torch.bfloat16, device="cuda")
    case.targets[[4, 5]] = torch.tensor([1003, -1], device="cuda")
    lm_head_logprobs(case.hidden, case.weight, case.targets, scheme=scheme)
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = lm_head_logprobs(case.hidden, case.weight, case.targets, scheme=scheme)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert out.num_bad_labels == 2
    assert torch.isnan(out.logp).nonzero().squeeze(1).tolist() == [4, 5]


def test_compiled_gives_the_same() -> None:
    case = made(300, 1003, dtype=torch.bfloat16, device="cuda")

    def loss(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return -lm_head_logprobs(x, w, case.targets).logp.mean()

    results = []
    for f in (loss, torch.compile(loss, fullgraph=True)):
        x, w = case.hidden.clone().requires_grad_(), case.weight.clone().requires_grad_()
        f(x, w).backward()
        results.append((x.grad, w.grad))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_neighbours_of_lmmixup_take_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    import numpy as np

    from lmmixup import ops, reference

    knn = importlib.import_module("lmmixup.ops.knn")  # `ops.knn` is the function
    monkeypatch.setattr(knn, "GPU_FROM", 0)
    pool = np.random.default_rng(0).standard_normal((3000, 100)).astype(np.float32)
    found = ops.knn(pool, 20)
    idx_QK, sim_QK = reference.knn(pool, 20)
    assert found.method == "triton"
    np.testing.assert_allclose(found.sim_QK, sim_QK, atol=1e-6)
    assert (found.idx_QK == idx_QK).mean() > 0.999


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_components_whatever_program_comes_first(dtype: torch.dtype) -> None:
    """Many programs join at once: chains, a component of everything, and strangers."""
    from lmmixup_kernels import components

    rng = torch.Generator().manual_seed(0)
    angles = torch.rand(20_000, generator=rng) * 6.2
    chain = torch.stack([angles.cos(), angles.sin()], 1)
    others = torch.randn((20_000, 62), generator=rng)
    rows = torch.zeros((40_000, 64))
    rows[::2, :2], rows[1::2, 2:] = chain, others / others.norm(dim=1, keepdim=True)
    rows[9::20] = rows[9]
    rows = rows.to("cuda", dtype)
    expected = components(rows, 0.996, backend="eager")
    for _ in range(3):
        assert torch.equal(components(rows, 0.996, backend="triton"), expected)
    assert set(components(rows[::2], 0.99, backend="triton").tolist()) == {0}


def test_a_scan_in_fp16_gives_what_fp32_gives() -> None:
    from lmmixup_kernels import screen, screened_topk, streaming_topk

    rng = torch.Generator().manual_seed(0)
    library = torch.randn((200_000, 256), generator=rng).cuda()
    library /= library.norm(dim=1, keepdim=True)
    library[1000:1040] = library[7] + 1e-5 * library[1000:1040]  # too near for fp16
    queries = library[:3000]
    for k in (1, 16, 100):
        expected = streaming_topk(queries, library, k, itself_from=0, backend="triton")
        found = screened_topk(queries, screen(library), k, itself_from=0, backend="triton")
        torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-6)
        assert (found.indices == expected.indices).float().mean() > 0.999
        assert found.num_again < 100


def test_components_write_no_pairs() -> None:
    from lmmixup_kernels import components

    rows = torch.ones((60_000, 64), device="cuda", dtype=torch.float16) / 8
    components(rows, 0.9, backend="triton")
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    components(rows, 0.9, backend="triton")
    assert torch.cuda.max_memory_allocated() - before <= 40 * len(rows) + (1 << 20)


def test_semantic_duplicates_have_the_bytes_of_the_cpu() -> None:
    import numpy as np
    from test_ops_semantic import bunches, same

    for seed, threshold in enumerate((0.3, 0.8, 0.95, 1.0)):
        same(bunches(9000, 200, seed), threshold=threshold)
    rng = np.random.default_rng(5)
    one = rng.standard_normal(64) + 0.1 * rng.standard_normal((6000, 64))
    assert same(one.astype(np.float32), threshold=0.95).num_families == 1


def test_more_than_two_to_the_31_elements() -> None:
    """E of 16,000 x 140,001 has 2.24e9: its last rows are past what 32 bits reach."""
    N, V, H = 16_000, 140_001, 64
    if torch.cuda.mem_get_info()[0] < 24 << 30:
        pytest.skip("needs 24 GiB of GPU memory")
    case = made(N, V, H, dtype=torch.bfloat16, device="cuda")
    x, w = case.hidden.requires_grad_(), case.weight.requires_grad_()
    out = lm_head_logprobs(x, w, case.targets, scheme="stored", backend="triton")
    out.logp.sum().backward()
    last = Case(x[-64:].detach(), w.detach(), case.targets[-64:], {})
    expected, grads = truth(last, (torch.ones(64, device="cuda"), None, None))
    assert (out.logp[-64:].double() - expected[0]).abs().max() <= 2e-5
    assert relative(x.grad[-64:], grads[0], 1).max() < 8e-3
    assert torch.isfinite(w.grad).all()
