"""The projection beside the matrix that it stands for, and what it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from lmmixup.select import projection
from lmmixup.select.projection import Projection

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch


def test_it_is_the_product_with_its_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "BLOCK_ENTRIES", 24 * 100)
    project = Projection(24, seed=7)
    vectors = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 250)))
    signs = np.concatenate([project.signs(0, 100), project.signs(1, 100), project.signs(2, 50)])
    assert set(np.unique(signs)) == {-1.0, 1.0}
    expected = vectors.numpy() @ signs / np.sqrt(24)
    np.testing.assert_allclose(project(vectors.float()).numpy(), expected, atol=1e-4)


def test_signs_are_those_of_the_seed_and_even() -> None:
    one, again, other = (Projection(64, seed).signs(3, 512) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert abs(float((one * other).mean())) < 0.03
    assert abs(float(one.mean())) < 0.03
    # A block's first rows do not depend on how many are asked for.
    np.testing.assert_array_equal(Projection(64, 1).signs(3, 5), one[:5])


def test_cosines_stay() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((20, 3000)) + 2 * rng.standard_normal(3000)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    short = Projection(2048, seed=0)(torch.from_numpy(vectors).float()).numpy()
    short /= np.linalg.norm(short, axis=1, keepdims=True)
    assert np.abs(short @ short.T - units @ units.T).max() < 5 / np.sqrt(2048)
