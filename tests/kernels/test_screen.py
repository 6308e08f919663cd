"""`screened_topk`: a scan in fp16 whose result is that of fp32, whatever the vectors are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_logits import DEVICE

from lmmixup_kernels import screen, screened_topk, streaming_topk

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

both = pytest.mark.parametrize("backend", ["eager", "triton"])


def vectors(num: int, dim: int = 24, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn((num, dim), generator=rng)).to(DEVICE)


def check(
    queries: torch.Tensor, library: torch.Tensor, k: int, backend: str = "eager",
    itself_from: int | None = None,
) -> int:  # fmt: skip
    """Compares with the whole matrix in double precision; gives the queries searched again."""
    found = screened_topk(queries, screen(library), k, itself_from=itself_from, backend=backend)
    scores = (queries.double() @ library.double().t()).nan_to_num(-torch.inf)
    if itself_from is not None:
        at = torch.arange(len(queries), device=DEVICE)
        scores[at, at + itself_from] = -torch.inf
    best = scores.topk(min(k, len(library)), dim=1).values
    got = found.indices[:, : best.shape[1]]
    there = best > -torch.inf
    assert torch.equal(found.indices[:, : best.shape[1]] >= 0, there)
    scale = queries.double().norm(dim=1).max() * library.double().norm(dim=1).nan_to_num(0).max()
    for mine in (scores.gather(1, got.clamp(min=0)), found.scores[:, : best.shape[1]].double()):
        assert ((mine - best)[there].abs() <= 1e-6 * max(1.0, scale.item())).all()
    assert (found.indices[:, len(library) :] == -1).all()
    assert (got[there].sort().values >= 0).all()
    return found.num_again


@both
@pytest.mark.parametrize(("Q", "N", "k"), [(1, 5, 3), (40, 700, 16), (33, 300, 40), (9, 4, 7)])
def test_equals_fp32(backend: str, Q: int, N: int, k: int) -> None:
    again = check(vectors(Q, seed=1), vectors(N), k, backend)
    assert again <= Q // 10


@settings(deadline=None, max_examples=40)
@given(
    num=st.integers(1, 200), asked=st.integers(1, 40), dim=st.integers(1, 60),
    k=st.integers(1, 30), seed=st.integers(0, 999), crowded=st.booleans(),
    itself=st.booleans(), scale=st.sampled_from([1e-9, 1.0, 300.0]),
)  # fmt: skip
def test_any_vectors(
    num: int, asked: int, dim: int, k: int, seed: int, crowded: bool, itself: bool, scale: float
) -> None:
    library = vectors(num, dim, seed)
    if crowded:  # all within what fp16 rounds: the scan decides nothing
        library = library[:1] + 1e-5 * library
    library = library * scale
    queries = library[:asked] if itself else vectors(asked, dim, seed + 1)
    check(queries, library, k, itself_from=0 if itself else None)


@both
def test_what_the_scan_cannot_settle_is_searched_again(backend: str) -> None:
    library = vectors(1, 64) + 1e-5 * vectors(300, 64, seed=2)
    queries = torch.cat([vectors(8, 64, seed=3), library[:8]])
    assert check(queries, library, 16, backend) == 16
    assert check(library[100:130], library, 16, backend, itself_from=100) == 30


@both
def test_nothing_among_nothing(backend: str) -> None:
    found = screened_topk(vectors(3), screen(vectors(5)[:0]), 2, backend=backend)
    assert found.indices.tolist() == [[-1, -1]] * 3
    asked = screened_topk(vectors(3)[:0], screen(vectors(5)), 2, backend=backend)
    assert asked.indices.shape == (0, 2)


@both
def test_ties_go_to_the_lower_row(backend: str) -> None:
    library = vectors(60).repeat(4, 1)
    found = screened_topk(library[:20], screen(library), 4, backend=backend)
    expected = torch.arange(20, device=DEVICE)[:, None] + 60 * torch.arange(4, device=DEVICE)
    assert torch.equal(found.indices, expected)
    assert found.num_again == 0


@both
def test_rows_that_are_not_numbers_or_too_long(backend: str) -> None:
    library, queries = vectors(150), vectors(10, seed=2)
    library[3], queries[1] = torch.nan, torch.nan
    plain = streaming_topk(queries, library, 100, backend=backend)
    again = screened_topk(queries, screen(library), 100, backend=backend)
    assert torch.equal(again.indices[[1]], plain.indices[[1]])
    assert (again.indices != 3).all()
    library[7] = 70_000 * library[7]  # fp16 holds 65,504
    long = screened_topk(queries, screen(library), 5, backend=backend)
    assert torch.equal(long.indices, streaming_topk(queries, library, 5, backend=backend).indices)
    assert long.num_again >= 9


def test_bad_input_is_said() -> None:
    library = vectors(10)
    with pytest.raises(TypeError, match=r"library must be float32, got torch\.float16"):
        screen(library.half())
    with pytest.raises(TypeError, match="one floating dtype"):
        screened_topk(library.half(), screen(library), 3)
    with pytest.raises(ValueError, match=r"queries \(Q, D\) and library"):
        screened_topk(library[:, :5], screen(library), 3)
    with pytest.raises(ValueError, match=r"k must be in 1\.\.120, got 121"):
        screened_topk(library, screen(library), 121)
