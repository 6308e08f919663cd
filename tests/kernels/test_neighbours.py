"""`streaming_topk`, `knn_bayes` and `group_advantage`, eager and as kernels, against the truth."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
import torch
from whole_logits import DEVICE

from lmmixup import ops
from lmmixup.rewards.advantages import group_advantages
from lmmixup_kernels import group_advantage, knn_bayes, streaming_topk

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

both = pytest.mark.parametrize("backend", ["eager", "triton"])


def vectors(num: int, dim: int = 24, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    made = torch.randn((num, dim), generator=rng)
    return torch.nn.functional.normalize(made).to(DEVICE)


@both
@pytest.mark.parametrize(("Q", "N", "k"), [(1, 5, 3), (70, 1003, 16), (33, 300, 17), (9, 4, 7)])
def test_equals_the_whole_matrix(backend: str, Q: int, N: int, k: int) -> None:
    queries, library = vectors(Q, seed=1), vectors(N)
    found = streaming_topk(queries, library, k, backend=backend)
    scores = queries.double() @ library.double().t()
    best = torch.topk(scores, min(k, N), dim=1)
    there = found.indices[:, : min(k, N)]
    torch.testing.assert_close(scores.gather(1, there), best.values, rtol=0, atol=1e-6)
    assert torch.equal(there, best.indices)
    assert (found.indices[:, N:] == -1).all()
    assert (found.scores[:, N:] == 0).all()


@both
def test_ties_go_to_the_lower_row_and_zeros_have_no_sign(backend: str) -> None:
    library = torch.zeros(300, 16, device=DEVICE)
    library[::2, 0] = -0.0
    library[[7, 120, 299], 1] = 1.0
    queries = torch.zeros(3, 16, device=DEVICE)
    queries[:, 1] = torch.tensor([1.0, 0.0, -1.0], device=DEVICE)
    found = streaming_topk(queries, library, 5, backend=backend).indices.tolist()
    assert found[0] == [7, 120, 299, 0, 1]
    assert found[1] == found[2] == [0, 1, 2, 3, 4]


@both
def test_a_pool_with_itself_leaves_out_the_row(backend: str) -> None:
    pool = vectors(200)
    whole = streaming_topk(pool, pool, 6, backend=backend).indices
    assert torch.equal(whole[:, 0], torch.arange(200, device=DEVICE))
    part = streaming_topk(pool[50:120], pool, 5, itself_from=50, backend=backend).indices
    assert torch.equal(part, whole[50:120, 1:])


@both
def test_rows_that_are_not_numbers_are_no_neighbours(backend: str) -> None:
    library, queries = vectors(50), vectors(4, seed=2)
    library[3] = torch.nan
    queries[1] = torch.nan
    found = streaming_topk(queries, library, 50, backend=backend)
    assert 3 not in found.indices[0].tolist()
    assert found.indices[0, -1] == -1
    assert (found.indices[1] == -1).all()


def test_the_kernel_streams_over_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    from lmmixup_kernels import topk

    monkeypatch.setattr(topk, "SPAN", 256)
    queries, library = vectors(20, seed=1), vectors(1003)
    for backend in ("eager", "triton"):
        found = streaming_topk(queries, library, 16, backend=backend)
        assert torch.equal(found.indices, torch.topk(queries @ library.t(), 16).indices)


@both
@pytest.mark.parametrize(("k", "C"), [(16, 6), (3, 2), (5, 1)])
def test_posteriors_have_the_bits_of_the_table(backend: str, k: int, C: int) -> None:
    rng = np.random.default_rng(0)
    library, queries = vectors(400), vectors(60, seed=3)
    labels = rng.integers(C, size=400)
    unit = library.cpu().numpy()
    prior = np.full(C, 1 / C)
    table = ops.posterior_table(
        k, prior, ops.transition(labels, ops.knn(unit, 2).idx_QK, num_classes=C)
    )
    assert len(table) == comb(k + C - 1, C - 1)
    truth = ops.knn_bayes(unit, labels, queries.cpu().numpy(), k=k, table_HC=table)
    found = knn_bayes(
        queries, library, torch.from_numpy(labels).to(DEVICE), torch.from_numpy(table).to(DEVICE),
        k=k, backend=backend,
    )  # fmt: skip
    np.testing.assert_array_equal(found.indices.cpu(), truth.neighbours.idx_QK)
    np.testing.assert_array_equal(found.posterior.cpu(), truth.posterior_QC)
    assert found.num_close <= 60


@both
@pytest.mark.parametrize("group_size", [1, 4, 5])
def test_advantages(backend: str, group_size: int) -> None:
    rng = torch.Generator().manual_seed(4)
    rewards = torch.rand((20, 3), generator=rng)
    rewards[3, 1] = torch.nan
    rewards[8:12] = 0.25
    rewards[15:20, 0] = torch.nan
    weights = torch.tensor([0.5, 0.4, 0.1])
    found = group_advantage(rewards.to(DEVICE), weights.to(DEVICE), group_size, backend=backend)
    total = (rewards * weights).sum(1)
    truth = group_advantages(total.tolist(), np.arange(20) // group_size)
    np.testing.assert_allclose(found.advantage.cpu(), truth.advantage_N, atol=2e-5)
    assert found.num_zero_variance == truth.num_zero_variance
    assert torch.isnan(found.reward.cpu()).tolist() == torch.isnan(total).tolist()


@both
def test_alignment_is_folded_in(backend: str) -> None:
    a, b = vectors(12, seed=5), vectors(12, seed=6)
    b[::3] = a[::3] + 0.1 * b[::3]
    rewards = torch.rand((12, 2), generator=torch.Generator().manual_seed(7)).to(DEVICE)
    weights = torch.tensor([0.5, 0.1], device=DEVICE)
    found = group_advantage(rewards, weights, 4, embeddings=a, references=b, threshold=0.8,
                            alignment_weight=0.4, epsilon=1e-6, backend=backend)  # fmt: skip
    aligned = (torch.nn.functional.cosine_similarity(a, b) >= 0.8).float()
    assert 0 < aligned.sum() < 12
    total = rewards @ weights + 0.4 * aligned
    grouped = total.view(3, 4)
    truth = (grouped - grouped.mean(1, keepdim=True)) / (grouped.std(1, keepdim=True) + 1e-6)
    torch.testing.assert_close(found.advantage.view(3, 4), truth, rtol=1e-5, atol=1e-5)


@both
def test_a_weight_of_zero_hides_what_was_not_scored(backend: str) -> None:
    rewards = torch.tensor([[0.0, torch.nan], [1.0, torch.nan]], device=DEVICE)
    found = group_advantage(rewards, torch.tensor([1.0, 0.0], device=DEVICE), 2, backend=backend)
    assert found.reward.tolist() == [0.0, 1.0]
    assert found.num_zero_variance == 0


def test_bad_input_is_said() -> None:
    library = vectors(10)
    with pytest.raises(ValueError, match=r"queries \(Q, D\) and library"):
        streaming_topk(library[0], library, 3)
    with pytest.raises(TypeError, match="one floating dtype"):
        streaming_topk(library.half(), library, 3)
    with pytest.raises(ValueError, match=r"k must be in 1\.\.128"):
        streaming_topk(library, library, 0)
    table = torch.ones((3, 2), dtype=torch.float64, device=DEVICE)
    with pytest.raises(ValueError, match="a row for each histogram of k = 4"):
        knn_bayes(library, library, torch.zeros(10, dtype=torch.long), table, k=4)
    with pytest.raises(ValueError, match="at least k = 2 neighbours"):
        knn_bayes(library, library[:1], torch.zeros(1, dtype=torch.long), table, k=2)
    with pytest.raises(ValueError, match="multiple of group_size = 4"):
        group_advantage(torch.zeros(6, 1), torch.ones(1), 4)
    with pytest.raises(ValueError, match="come together"):
        group_advantage(torch.zeros(4, 1), torch.ones(1), 4, embeddings=library[:4])
