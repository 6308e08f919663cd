"""`components`, eager and as a kernel, against a graph that is searched."""

from __future__ import annotations

import importlib
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_logits import DEVICE

from lmmixup_kernels import FallbackWarning, components

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

module = importlib.import_module("lmmixup_kernels.components")  # its name is the function's

both = pytest.mark.parametrize("backend", ["eager", "triton"])


def bunches(num: int, dim: int, seed: int = 0) -> torch.Tensor:
    """Rows around a few centres, so that some hang together and some do not."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(num // 4, 1), dim))
    spread = rng.choice([0.0, 0.2, 0.6, 3.0], (num, 1)) * rng.standard_normal((num, dim))
    made = centres[rng.integers(len(centres), size=num)] + spread
    return torch.from_numpy(made / np.linalg.norm(made, axis=1, keepdims=True)).float().to(DEVICE)


def searched(near: np.ndarray, groups: np.ndarray | None = None) -> list[int]:
    """The lowest row of each row's component, from the whole matrix of pairs."""
    near = near | near.T
    if groups is not None:
        near |= (groups[:, None] == groups) & (groups >= 0)
    lowest = np.arange(len(near))
    for row in range(len(near)):
        if lowest[row] < row:
            continue
        seen, todo = {row}, [row]
        while todo:
            fresh = set(np.flatnonzero(near[todo.pop()]).tolist()) - seen
            seen |= fresh
            todo += fresh
        lowest[list(seen)] = row
    return lowest.tolist()


def check(rows: torch.Tensor, threshold: float, backend: str, **options: torch.Tensor) -> list[int]:
    """Compares with the truth and gives what was found."""
    products = (rows.double() @ rows.double().t()).cpu().numpy()
    if "slack" in options:
        slack = options["slack"].double().cpu().numpy()
        products = products + slack[:, None] + slack
    assert np.abs(products - threshold).min(initial=1) > 1e-6  # or the draw decides nothing
    groups = options["groups"].cpu().numpy() if "groups" in options else None
    found = components(rows, threshold, backend=backend, **options).tolist()
    assert found == searched(products >= threshold, groups)
    return found


@both
@pytest.mark.parametrize(
    ("N", "D", "dtype"),
    [(1, 3, torch.float32), (70, 72, torch.float32), (257, 33, torch.float16),
     (330, 8, torch.float32)],
)  # fmt: skip
def test_equals_a_search_of_the_whole_graph(
    backend: str, N: int, D: int, dtype: torch.dtype
) -> None:
    found = check(bunches(N, D).to(dtype), 0.9, backend)
    assert N == 1 or 1 < len(set(found)) < N


@settings(deadline=None, max_examples=25)
@given(
    num=st.integers(0, 150), dim=st.integers(1, 40), seed=st.integers(0, 999),
    threshold=st.sampled_from([0.31, 0.85, 0.957]), rows=st.sampled_from([7, 64, 1024]),
)  # fmt: skip
def test_any_shape(num: int, dim: int, seed: int, threshold: float, rows: int) -> None:
    vectors = bunches(num, dim, seed)
    products = (vectors.double() @ vectors.double().t()).cpu().numpy()
    if np.abs(products - threshold).min(initial=1) > 1e-6:
        with mock.patch.multiple(module, ROWS=rows, SPAN=2 * rows):
            check(vectors, threshold, "eager")


@both
def test_a_chain_is_one_component(backend: str) -> None:
    angles = torch.linspace(0, 3, 200, dtype=torch.float64)[torch.randperm(200)]
    rows = torch.stack([angles.cos(), angles.sin()], 1).float().to(DEVICE)
    assert set(check(rows, float(np.cos(0.0155)), backend)) == {0}


@both
def test_all_alike_and_none(backend: str) -> None:
    same = torch.ones(150, 4, device=DEVICE) / 2
    assert components(same, 1.0, backend=backend).tolist() == [0] * 150
    assert components(same, 1.5, backend=backend).tolist() == list(range(150))
    assert components(same[:0], 0.5, backend=backend).tolist() == []


@both
def test_the_threshold_itself_counts(backend: str) -> None:
    rows = torch.tensor([[1.0, 0.0], [0.75, 0.5], [0.0, 1.0]], device=DEVICE)
    assert components(rows, 0.75, backend=backend).tolist() == [0, 0, 2]
    above = float(np.nextafter(np.float32(0.75), np.float32(1)))
    assert components(rows, above, backend=backend).tolist() == [0, 1, 2]


@both
def test_slack_and_groups(backend: str) -> None:
    rows = bunches(150, 20, seed=3)
    slack = torch.zeros(150, device=DEVICE)
    slack[::7] = 0.2
    slack[5] = -torch.inf
    groups = torch.full((150,), -1, device=DEVICE)
    groups[[3, 149, 77]], groups[[5, 20]] = 8, 10**12
    plain = check(rows, 0.93, backend)
    wider = check(rows, 0.93, backend, slack=slack)
    assert len(set(wider)) < len(set(plain))
    assert wider.count(5) == 1
    check(rows, 0.93, backend, slack=slack, groups=groups)


@both
def test_rows_that_are_not_numbers_are_alone(backend: str) -> None:
    rows = torch.ones(140, 4, device=DEVICE) / 2
    rows[[0, 130], 1] = torch.nan
    found = components(rows, 0.9, backend=backend).tolist()
    assert found[0] == 0
    assert found[130] == 130
    assert found.count(1) == 138


@both
def test_rows_with_strides(backend: str) -> None:
    wide = bunches(90, 40, seed=2)
    found = components(wide[:, ::2], 0.9, backend=backend)
    assert torch.equal(found, components(wide[:, ::2].contiguous(), 0.9, backend=backend))
    assert torch.equal(
        components(wide[::2, :20], 0.9, backend=backend),
        components(wide[::2, :20].contiguous(), 0.9, backend=backend),
    )


def test_blocks_are_as_good_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = bunches(330, 24, seed=4)
    whole = components(rows, 0.9, backend="eager")
    monkeypatch.setattr(module, "SPAN", 128)
    monkeypatch.setattr(module, "ROWS", 64)
    for backend in ("eager", "triton"):
        assert torch.equal(components(rows, 0.9, backend=backend), whole)


def test_bad_input_is_said() -> None:
    rows = bunches(10, 4)
    with pytest.raises(ValueError, match=r"vectors must be \(N, D\) with D >= 1"):
        components(rows[0], 0.5)
    with pytest.raises(ValueError, match=r"vectors must be \(N, D\) with D >= 1"):
        components(rows[:, :0], 0.5)
    with pytest.raises(TypeError, match=r"floating dtype, got torch\.int64"):
        components(rows.long(), 0.5)
    with pytest.raises(ValueError, match="threshold must be finite, got nan"):
        components(rows, float("nan"))
    with pytest.raises(ValueError, match=r"slack must be \(10,\), got \(3,\)"):
        components(rows, 0.5, slack=rows[:3, 0])
    with pytest.raises(ValueError, match="groups must be whole numbers"):
        components(rows, 0.5, groups=rows[:, 0])
    with pytest.raises(ValueError, match="backend must be"):
        components(rows, 0.5, backend="cuda")


def test_a_fallback_is_said_once() -> None:
    from lmmixup_kernels.backend import say_once

    say_once.cache_clear()
    rows = bunches(10, 4).double()
    with pytest.warns(FallbackWarning, match="components runs in plain torch: dtype"):
        components(rows, 0.5)
    components(rows, 0.5)
